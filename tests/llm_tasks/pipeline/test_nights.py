"""Errors over several nights: what passes is asked again less and less often, and an old text stays meanwhile."""

from datetime import UTC, datetime, timedelta

import pytest

from base.failures import next_attempt
from feature_store.answers import failed_calls

NOW = datetime(2024, 1, 1, tzinfo=UTC)
WEEKS = timedelta(weeks=2)
"""Longer than any wait."""


def test_a_nightly_run_asks_a_row_eight_times_in_two_weeks():
    last, attempts, asked = NOW, 1, [0]
    for night in range(1, 60):
        now = NOW + timedelta(days=night)
        if (due := next_attempt(attempts, last)) is not None and due <= now:
            last, attempts = now, attempts + 1
            asked.append(night)

    assert asked == [0, 1, 2, 3, 4, 5, 8, 15]


def test_a_row_that_fails_and_fails_waits_longer_and_longer_then_needs_a_retry(shop):
    shop.configure(rules={"Thing 2": "error:http_503"})
    calls = [shop.ask("kar_item").calls for _ in range(5)]

    assert calls == [12, 1, 1, 0, 0]
    summary = shop.plan("kar_item").summary()
    assert (summary["failures"], summary["waiting"]) == ({"http_503": 1}, {"http_503": 1})
    (tried,) = failed_calls(shop.place().store).values()
    assert tried.attempts == 3
    assert datetime.fromisoformat(summary["waits_until"]) == tried.last + timedelta(hours=1)
    hour = timedelta(hours=1)
    assert len(shop.plan("kar_item", now=tried.last + hour).asks) == 1
    assert shop.plan("kar_item", now=tried.last + hour - timedelta(microseconds=1)).asks == {}

    for _ in range(9):
        shop.ask("kar_item", now=datetime.now(UTC) + WEEKS)
    tired = shop.plan("kar_item", now=datetime.now(UTC) + WEEKS)

    assert len(shop.calls()) == 12 + 7
    assert (tired.summary()["failures"], tired.summary()["waiting"]) == ({"http_503": 1}, {})
    assert shop.ask("kar_item", retry=["http_503"]).calls == 1


def test_what_a_command_says_of_rows_that_wait_and_of_those_that_do_not_any_more(shop, plain_knowflow):
    shop.configure(rules={"Thing 2": "error:http_503"})
    for _ in range(3):
        shop.ask("kar_item")
    waiting = plain_knowflow.run("plan", "--config", shop.config, "--task", "kar_item")
    for _ in range(5):
        shop.ask("kar_item", now=datetime.now(UTC) + WEEKS)
    tired = plain_knowflow.run("plan", "--config", shop.config, "--task", "kar_item")

    what = "kar_item: 1 row failed: http_503: check the log of the server; then "
    assert f"{what}refreshes ask its rows again, at once: knowflow retry --error http_503" in waiting.stderr
    assert "not yet: each wait is longer than the one before; the first after 20" in waiting.stderr
    assert f"{what}ask its rows again: knowflow retry --error http_503" in tired.stderr
    assert "not yet" not in tired.stderr


def about(shop):
    return {row["entity"]: row for row in shop.lineage("kar_item").values()}


@pytest.mark.parametrize("rule", ["error:http_503", "refused", "long", "empty"])
def test_an_old_text_stays_until_a_new_one_replaces_it(shop, rule):
    shop.ask("kar_item")
    old = about(shop)
    shop.configure(engine={**shop.settings["engine"], "revision": "2"})
    shop.configure(rules={"Thing 2": rule})
    done = shop.ask("kar_item")
    rows = about(shop)

    (kind,) = done.errors
    assert done.errors == {kind: 1}
    assert rows["i2"]["error"].startswith(kind)
    assert {**rows["i2"], "error": None} == old["i2"]
    assert rows["i3"]["answer_key"] != old["i3"]["answer_key"]
    shop.ask("kar_item")
    assert about(shop) == rows

    shop.configure(rules={})
    shop.ask("kar_item", retry=["all"])
    new = about(shop)["i2"]
    assert new["error"] is None
    assert new["answer_key"] != old["i2"]["answer_key"]


@pytest.mark.parametrize(("rule", "stays"), [("error:http_503", True), ("refused", False), ("empty", False)])
def test_a_text_that_the_data_contradicts_stays_only_while_the_error_passes(shop, rule, stays):
    shop.ask("kar_item")
    old = about(shop)["i2"]
    shop.write_items({f"i{number}": f"Thing {number}{' corrected' * (number == 2)}" for number in range(12)})
    shop.configure(rules={"Thing 2 corrected": rule})
    shop.ask("kar_item")

    row = about(shop)["i2"]
    assert row["error"] is not None
    assert row["text"] == (old["text"] if stays else None)


def test_the_gates_say_how_many_rows_keep_an_older_text(shop):
    shop.release("kar_item")
    shop.configure(engine={**shop.settings["engine"], "revision": "2"})
    shop.configure(rules={"Thing 2": "refused"}, gates={"refusals": 1.0})
    name = shop.release("kar_item")

    from feature_store.releases import get_release

    (gate,) = [
        one for one in get_release(shop.place().store, name).facts["gates"] if one["name"] == "kar_item answered"
    ]
    assert gate["found"].startswith("91.7% of 12 rows, at least 90.0%; most often: ")
    assert gate["found"].endswith("; 1 failed now and keep an older text")
