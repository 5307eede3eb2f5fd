"""`knowflow` as a real process: killed in the middle of a refresh, refused, checked for leaks, planned."""

import json
import random
import time
from datetime import timedelta

import pytest

from base.faults import WrongUse
from feature_store.answers import answer_log, known_answers, read_answers
from feature_store.keys import check_keys
from feature_store.lineage import row_key, write_lineage
from feature_store.releases import get_release, list_releases, publish, released_knowledge
from feature_store.schemas import ANSWERS, LINEAGE
from tests.forked import HELPERS, Forked

IN_FLIGHT = 4
ASKING = {"kar_item": {}, "kar_user": {"snapshots": [0.5, 1.0]}}


def wait_for_calls(shop, count: int, process: Forked) -> None:
    """Wait until the engine has given so many answers, over all runs."""
    deadline = time.monotonic() + 240
    while len(shop.calls("gave")) < count:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, f"only {len(shop.calls('gave'))} of {count} answers came"
        time.sleep(0.005)


@pytest.mark.slow(reason="three refreshes as processes that are really killed")
def test_a_refresh_killed_again_and_again_repeats_only_what_was_in_flight(make_shop, knowflow):
    shop = make_shop(items=10, users=3, tasks=ASKING)
    shop.configure(options={"in_flight": IN_FLIGHT})
    assert knowflow.run("refresh", "--config", str(shop.config)).returncode == 0
    store, first = shop.place().store, get_release(shop.place().store)
    reads = released_knowledge(store, first, "kar_item", "lexical").vectors.tolist()
    asked_first = set(shop.calls())
    shop.write_items({f"i{place}": f"Gadget {place}" for place in range(90)})  # all items change, 80 are new
    shop.configure(options={"seconds": 0.01})
    random.seed(7)
    moments = sorted(random.sample(range(3, 95), 3))  # of 96 answers: 90 items and 6 snapshots
    known: set[str] = set(known_answers(store))

    for moment in moments:
        before, asked_before = len(known), len(shop.calls())
        process = knowflow.start("refresh", "--config", str(shop.config))
        try:
            wait_for_calls(shop, len(asked_first) + moment, process)
        finally:
            process.kill()
            process.communicate()

        asked = shop.calls()[asked_before:]
        assert not set(asked) & known  # what was known was not asked again
        known = set(known_answers(store))
        assert len(asked) - (len(known) - before) <= IN_FLIGHT  # all else that was asked is known
        assert set(shop.calls("gave")) - known <= set(shop.calls("gave")[-1:])  # at most the very last one was lost
        assert get_release(store) == first  # the earlier release is current and readable
        assert released_knowledge(store, first, "kar_item", "lexical").vectors.tolist() == reads
        planned = knowflow.run("plan", "--config", str(shop.config), "--json")
        assert sum(task["calls"] for task in json.loads(planned.stdout)["tasks"]) == 96 - (
            len(known) - len(asked_first)
        )
    shop.configure(options={"seconds": 0.0})
    done = knowflow.run("refresh", "--config", str(shop.config))

    assert done.returncode == 0, done.stderr
    asked = shop.calls()[len(asked_first) :]
    assert len(set(asked)) == 96
    assert len(asked) - 96 <= IN_FLIGHT * len(moments)
    assert check_keys(store, "answers", "key") == len(asked_first) + 96
    assert get_release(store).name == "rel-000002"
    assert len(released_knowledge(store, get_release(store), "kar_item", "lexical").entities) == 90
    rows = shop.lineage("kar_item")
    texts = dict(read_answers(store, [row["answer_key"] for row in rows.values()], ["key", "text"]).iter_rows())
    assert all(
        row["text"] == texts[row["answer_key"]] and row["answer_key"][:12] in row["text"] for row in rows.values()
    )


def test_a_second_refresh_beside_a_running_one_is_refused_by_name_and_does_no_harm(make_shop, knowflow):
    shop = make_shop(items=8, users=1, tasks=ASKING)
    shop.configure(options={"seconds": 0.05})
    first = knowflow.start("refresh", "--config", str(shop.config))
    try:
        wait_for_calls(shop, 1, first)
        shop.configure(options={"seconds": 0.0})
        second = shop.place()
        with (
            pytest.raises(WrongUse, match=rf"refresh --config .*, process {first.pid} on .* since 20"),
            second.store.writer("x"),
        ):
            pass
        _, errors = first.communicate(timeout=240)
    finally:
        first.kill()
        first.communicate()

    assert first.returncode == 0, errors
    assert get_release(shop.place().store).name == "rel-000001"


def test_a_closed_gate_leaves_with_exit_code_one_and_says_why(make_shop, knowflow):
    shop = make_shop(items=4, users=1, tasks={"kar_item": {}})
    shop.configure(rules={"Thing 3": "refused"})

    done = knowflow.run("refresh", "--config", str(shop.config))

    assert done.returncode == 1
    assert (
        "FAILED  kar_item answered: 75.0% of 4 rows, at least 90.0%; most often: refused: the model will not"
        in done.stderr
    )
    assert "Traceback" not in done.stderr
    assert list_releases(shop.place().store) == []


def test_an_engine_that_breaks_off_is_told_in_a_sentence(make_shop, knowflow):
    shop = make_shop(items=4, users=1, tasks={"kar_item": {}})
    shop.configure(rules={"Thing 2": "raise"})

    done = knowflow.run("refresh", "--config", str(shop.config))

    assert done.returncode != 0
    assert "failed after 2 of 4 calls: ConnectionError: the server is gone" in done.stderr
    assert "Traceback" not in done.stderr
    assert len(known_answers(shop.place().store)) == 2


def test_a_disk_that_takes_no_more_ends_a_refresh_cleanly_and_the_same_command_goes_on(make_shop, knowflow, forks):
    shop = make_shop(items=60, users=1, tasks={"kar_item": {}})
    small = [12 * 1024, "refresh", "--config", shop.config]
    stopped = forks.start(HELPERS / "limited.py", *small, environment=knowflow.environment)
    _, errors = stopped.communicate(timeout=300)
    kept = set(known_answers(shop.place().store))
    gone_on = knowflow.run("refresh", "--config", str(shop.config))

    assert stopped.returncode == 1
    # A file takes a part of the last line, or nothing of it.
    reasons = [f"the store cannot be written: {why}\n" for why in ("No space left on device", "File too large")]
    assert any(f"{shop.folder / 'runs' / 'store'}: {reason}" in errors for reason in reasons)
    assert "run the same command again to continue" in errors
    assert "Traceback" not in errors
    assert 0 < len(kept) < 60
    assert kept >= set(shop.calls("gave")[: len(kept)])
    assert gone_on.returncode == 0, gone_on.stderr
    assert not set(shop.calls()[len(kept) + 1 :]) & kept  # but for the one that met the end of the disk
    assert len(known_answers(shop.place().store)) == 60


def test_a_plan_creates_no_folder_and_changes_no_byte(shop, plain_knowflow):
    done = plain_knowflow.run("plan", "--config", str(shop.config), "--json")

    assert done.returncode == 0
    assert [task["calls"] for task in json.loads(done.stdout)["tasks"]] == [12, 8, 0]
    assert not (shop.folder / "runs").exists()
    shop.ask("kar_item")
    before = shop.store_bytes()

    done = plain_knowflow.run("plan", "--config", str(shop.config), "--json", "--error", "parse")

    assert [task["calls"] for task in json.loads(done.stdout)["tasks"]] == [0, 0, 0]
    assert shop.store_bytes() == before


def plant(shop, **changes) -> None:
    """Release the shop's user rows, one of them changed, whatever the gates would say."""
    shop.ask("kar_user")
    store = shop.place().store
    row = {**dict.fromkeys(LINEAGE.names), **shop.lineage("kar_user")[row_key("kar_user", "u1", shop.events()[1][2])]}
    with store.writer("a test") as writer:
        if "prompt" in changes:
            message = json.dumps([{"role": "user", "content": changes.pop("prompt")}])
            with answer_log(writer) as log:
                log.append(
                    {
                        **dict.fromkeys(ANSWERS.names),
                        "key": "planted",
                        "text": "t",
                        "messages": message,
                        "created_at": row["created_at"],
                    }
                )
            changes["answer_key"] = "planted"
        if changes:
            write_lineage(writer, [{**row, **changes}])
        publish(writer, {})


# Each user has events at minutes 0 to 4 and snapshots after two and after five of them: as_of minutes 1 and 4.
@pytest.mark.parametrize(
    ("change", "questions"),
    [
        (lambda at: {}, set()),
        (lambda at: {"seen_until": at(1) + timedelta(seconds=1)}, {"a prompt shows an event later than its as_of"}),
        (
            lambda at: {"seen_until": at(2)},
            {"a prompt shows an event later than its as_of", "a sample sees a row that has seen its time or later"},
        ),
        (lambda at: {"prompt": "Given:\n\nThing 1: 1; Thing 4: 2; Thing 7: 3"}, {"a prompt names a later event"}),
    ],
    ids=["none", "later than as_of", "sample sees", "named in the prompt"],
)
def test_leak_check_leaves_with_one_and_prints_the_counter_examples(shop, plain_knowflow, change, questions):
    start = shop.events()[0][2]
    plant(shop, **change(lambda minute: start + timedelta(minutes=minute)))

    asked_for_json = plain_knowflow.run("leak-check", "--config", str(shop.config), "--json")
    told = plain_knowflow.run("leak-check", "--config", str(shop.config), "--release", "rel-000001")

    found = json.loads(asked_for_json.stdout)
    assert asked_for_json.returncode == told.returncode == (1 if questions else 0), told.stderr
    assert {example["question"] for example in found["counter_examples"]} == questions
    assert (found["release"], found["samples"], found["rows"]) == ("rel-000001", 20, 8)
    for example in found["counter_examples"]:
        assert example["row"].startswith("kar_user/u1/")
        for part in ("row", "question", "event"):
            assert example[part] in told.stdout
        assert f"fix: {example['fix']}" in told.stderr
    if not questions:
        assert "no leak found: every sample sees only knowledge made strictly before it" in told.stderr


def test_a_leak_check_without_a_release_says_what_to_run(shop, plain_knowflow):
    done = plain_knowflow.run("leak-check", "--config", str(shop.config))

    assert done.returncode == 2
    assert "nothing has been released yet\n  make one: knowflow refresh" in done.stderr
    assert not (shop.folder / "runs").exists()
