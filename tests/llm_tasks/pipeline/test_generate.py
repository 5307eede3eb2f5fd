"""Generation: one bad row is one error row, what came is kept, and only what is missing is asked."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from engines.protocol import EngineFault
from feature_store.answers import JOURNAL, known_answers, read_answers
from llm_tasks.pipeline.catalogue import find_tasks
from llm_tasks.pipeline.generate import generate
from llm_tasks.pipeline.parse import ParseFault
from llm_tasks.pipeline.plan import plan_task


def errors_of(shop, task="kar_item"):
    """Entity -> kind of its error."""
    return {row["entity"]: row["error"].split(":")[0] for row in shop.lineage(task).values() if row["error"]}


def test_a_batch_with_an_empty_an_unparsable_a_refused_and_an_over_long_row_finishes_with_error_rows(shop):
    shop.configure(
        rules={
            "Thing 1": "empty",  # and Thing 10 and Thing 11
            "Thing 2": "refused",
            "Thing 3": "long",
            "Thing 4": "broken",
            "Thing 5": "silent",
        }
    )

    done = shop.ask("kar_item")

    assert (done.rows, done.calls, done.answered) == (12, 12, 8)
    assert done.errors == {"parse": 3, "refused": 1, "too_long": 1, "not_utf8": 1, "no_text": 1}
    assert errors_of(shop) == {
        "i1": "parse", "i10": "parse", "i11": "parse",
        "i2": "refused", "i3": "too_long", "i4": "not_utf8", "i5": "no_text",
    }  # fmt: skip
    rows = {row["entity"]: row for row in shop.lineage("kar_item").values()}
    assert rows["i1"]["error"] == "parse: the answer is empty"
    assert rows["i2"]["error"] == "refused: the model will not"
    assert rows["i4"]["error"] == r"not_utf8: the answer is no valid Unicode: 'half \ud800'"
    assert {row["text"] is None for row in rows.values() if row["error"]} == {True}
    assert all(rows[item]["text"] for item in ("i0", "i6", "i7", "i8", "i9"))


def test_error_rows_are_asked_again_only_when_that_is_wished_and_then_alone(shop):
    shop.configure(rules={"Thing 2": "refused", "Thing 3": "long"})
    first = shop.ask("kar_item")
    shop.configure(rules={})

    again = shop.ask("kar_item")
    plan = shop.plan("kar_item", retry=["all"])
    retried = shop.ask("kar_item", retry=["all"])

    assert (first.calls, again.calls) == (12, 0)
    assert again.errors == {"refused": 1, "too_long": 1}
    assert plan.summary()["why"] == {
        "the error is to be retried: refused": 1,
        "the error is to be retried: too_long": 1,
    }
    assert (plan.count("changed"), retried.calls, retried.errors) == (2, 2, {})
    rows = {row["entity"]: row["answer_key"] for row in shop.lineage("kar_item").values()}
    assert sorted(shop.calls()[12:]) == sorted([rows["i2"], rows["i3"]])
    assert errors_of(shop) == {}


def test_a_retry_leaves_new_rows_and_withdrawn_ones_to_the_next_refresh(shop):
    shop.configure(rules={"Thing 2": "refused"})
    shop.ask("kar_item")
    shop.configure(rules={})
    shop.write_items({f"i{place}": f"Thing {place}" for place in range(14)})  # two new items

    plan, done = shop.plan("kar_item", retry=["refused"]), shop.ask("kar_item", retry=["refused"])

    assert ([row.entity for row in plan.rows], plan.withdrawn) == (["i2"], ())
    assert (done.rows, done.calls, done.errors) == (1, 1, {})
    assert len(shop.lineage("kar_item")) == 12
    assert shop.ask("kar_item").calls == 2


def test_a_plan_tells_failed_rows_and_why(shop):
    shop.configure(rules={"Thing 2": "refused"})
    shop.ask("kar_item")

    plan = shop.plan("kar_item")

    assert (plan.count("failed"), plan.count("cached"), len(plan.asks)) == (1, 11, 0)
    assert [row.why for row in plan.rows if row.status == "failed"] == ["refused"]


def test_a_parse_failure_is_no_failed_call_for_a_better_parser_can_still_read_it(shop):
    shop.configure(rules={"Thing 2": "empty"})
    shop.ask("kar_item")

    assert shop.plan("kar_item", retry=["refused", "too_long"]).asks == {}


def test_rows_that_could_not_be_parsed_are_asked_again_when_that_is_wished_and_they_alone(shop):
    shop.configure(rules={"Thing 2": "empty", "Thing 3": "refused"})
    shop.ask("kar_item")
    shop.configure(rules={})

    done = shop.ask("kar_item", retry=["parse"])

    rows = {row["entity"]: row["answer_key"] for row in shop.lineage("kar_item").values()}
    assert shop.calls()[12:] == [rows["i2"]]
    assert (done.calls, errors_of(shop)) == (1, {"i3": "refused"})


def test_a_changed_parser_asks_nothing_and_changes_the_texts(shop, monkeypatch):
    shop.ask("kar_item")
    before = shop.lineage("kar_item")
    monkeypatch.setattr("llm_tasks.pipeline.rows.Parser.__call__", lambda self, text: text.upper())

    done = shop.ask("kar_item")

    after = shop.lineage("kar_item")
    assert done.calls == 0
    assert len(shop.calls()) == 12
    assert {key: row["text"] for key, row in after.items()} == {key: row["text"].upper() for key, row in before.items()}
    assert all(after[key]["text_key"] != before[key]["text_key"] for key in before)


def test_a_technique_that_chokes_on_an_answer_leaves_one_error_row_each(shop, monkeypatch):
    def encode(answer: str) -> str:
        if "answer0" in answer:
            raise ParseFault("begins with a nought")
        return {"a": answer}["a" if "answer1" not in answer else "b"]  # a KeyError that nobody foresaw

    task = find_tasks()["kar_item"]
    monkeypatch.setitem(vars(task), "encode", encode)
    shop.write_items({f"i{place}": f"Thing {place}" for place in range(80)})

    done = shop.ask("kar_item")

    texts = {row["answer_key"]: row for row in shop.lineage("kar_item").values()}
    for key, row in texts.items():
        wanted = {"0": "parse: begins with a nought", "1": "parse: KeyError: 'b'"}.get(key[0])
        assert row["error"] == wanted
    assert done.errors == {"parse": sum(key[0] in "01" for key in texts)}
    assert 0 < done.errors["parse"] < 80


def test_unchanged_rows_are_not_written_again_and_keep_their_clock(shop):
    shop.ask("kar_item")
    before, version = shop.lineage("kar_item"), shop.place().store.version("lineage")
    shop.ask("kar_item")

    assert shop.place().store.version("lineage") == version

    shop.write_items({**{f"i{place}": f"Thing {place}" for place in range(12)}, "i0": "Another thing"})
    shop.ask("kar_item")

    after = shop.lineage("kar_item")
    changed = {key for key in before if before[key]["created_at"] != after[key]["created_at"]}
    assert changed == {"kar_item/i0/0"}
    assert after["kar_item/i0/0"]["created_at"] > before["kar_item/i0/0"]["created_at"]


def test_a_fixed_clock_of_a_row_is_written_though_its_prompt_is_the_same(shop, monkeypatch):
    shop.ask("kar_user")
    task, honest = find_tasks()["kar_user"], find_tasks()["kar_user"].rows
    monkeypatch.setitem(
        vars(task), "rows", lambda inputs: (replace(r, seen_until=r.as_of + timedelta(days=1)) for r in honest(inputs))
    )
    shop.ask("kar_user")
    assert all(row["seen_until"] > row["as_of"] for row in shop.lineage("kar_user").values())
    monkeypatch.undo()

    shop.ask("kar_user")

    assert all(row["seen_until"] == row["as_of"] for row in shop.lineage("kar_user").values())


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("raise", r"the engine of scripted failed after 5 of 12 calls: ConnectionError: the server is gone"),
        ("stop", r"the engine of scripted stopped after 5 of 12 calls"),
        ("twice", r"answered a request that is not open: \w+ was answered before"),
    ],
)
def test_an_engine_that_breaks_off_loses_nothing_and_the_next_run_goes_on(shop, rule, message):
    shop.ask("kar_item")  # an earlier state, which must stay as it is
    before = shop.lineage("kar_item")
    shop.write_items({f"i{place}": f"Gadget {place}" for place in range(12)})
    sixth = sorted(f"i{place}" for place in range(12))[5].removeprefix("i")
    shop.configure(rules={f"Gadget {sixth}": rule})
    given = len(shop.calls("gave"))

    with pytest.raises(EngineFault, match=message):
        shop.ask("kar_item")
    assert shop.lineage("kar_item") == before
    gave = len(shop.calls("gave")) - given
    shop.configure(rules={})
    done = shop.ask("kar_item")

    assert gave == (6 if rule == "twice" else 5)
    assert done.calls == 12 - gave
    assert len(shop.calls("gave")) == len(set(shop.calls("gave"))) == 24


def test_an_answer_is_on_disk_before_the_next_one_is_given_and_in_the_table_at_the_end(shop):
    place, seen = shop.place(), []
    journal = place.store.folder / JOURNAL
    plan = plan_task(find_tasks()["kar_item"], place)
    with place.store.writer("a test") as writer:
        generate(
            plan, place, writer, lambda what, done, total: seen.append((done, total, journal.read_text().count("\n")))
        )

    assert seen == [(number, 12, number) for number in range(1, 13)]
    assert journal.read_bytes() == b""
    assert len(known_answers(place.store)) == 12


def test_answers_keep_all_that_they_were_asked_with(shop):
    shop.ask("kar_item")
    store = shop.place().store
    row = read_answers(store, [shop.lineage("kar_item")["kar_item/i3/0"]["answer_key"]]).row(0, named=True)

    assert row["prompt"] == "kar_item.v1"
    assert '"content":"Introduce this item' in row["messages"]
    assert "Thing 3" in row["messages"]
    assert (row["model"], row["revision"], row["adapter"]) == ("scripted", "1", "")
    assert row["sampling"] == '{"max_tokens": 160, "temperature": 0.0}'
    assert row["answer_schema"] == '{"type": "text"}'
    assert row["input_tokens"] == len(json.loads(row["messages"])[0]["content"].split())
    assert row["output_tokens"] == len(row["text"].split()) == 9


def test_an_interrupt_keeps_what_has_been_answered(shop):
    place = shop.place()
    plan = plan_task(find_tasks()["kar_item"], place)

    def progress(what: str, done: int, total: int) -> None:
        if done == 4:
            raise KeyboardInterrupt

    with place.store.writer("a test") as writer, pytest.raises(KeyboardInterrupt):
        generate(plan, place, writer, progress)

    assert len(known_answers(place.store)) == 4
    assert shop.ask("kar_item").calls == 8


def test_rows_are_written_in_several_commits_when_they_are_many_and_none_is_lost(make_shop, monkeypatch):
    at_once, in_parts = make_shop(items=23, name="at_once"), make_shop(items=23, name="in_parts")
    for shop in (at_once, in_parts):
        titles = {f"i{place}": f"Thing {place % 20}" for place in range(23)}  # three pairs share their answer
        shop.write_items(titles)
        shop.configure(rules={"Thing 7": "refused", "Thing 8": "empty"})
    at_once.ask("kar_item")
    monkeypatch.setattr("llm_tasks.pipeline.rows.WRITTEN_AT_ONCE", 5)

    done = in_parts.ask("kar_item")

    def rows(shop):
        return {key: {**row, "created_at": None} for key, row in shop.lineage("kar_item").items()}

    assert (done.rows, done.calls, done.errors) == (23, 20, {"refused": 1, "parse": 1})
    assert rows(in_parts) == rows(at_once)
    assert in_parts.place().store.version("lineage") > at_once.place().store.version("lineage")


@pytest.mark.parametrize("kind", ["http_502", "timeout", "connection", "garbage", "broke_off"])
def test_rows_for_which_the_server_was_at_fault_are_asked_again_by_the_next_refresh(shop, kind):
    shop.configure(rules={"Thing 2": f"error:{kind}", "Thing 3": "refused"})
    shop.ask("kar_item")
    plan, other = shop.plan("kar_item"), shop.plan("kar_item", retry=["refused"])
    shop.configure(rules={})
    done = shop.ask("kar_item")

    assert plan.summary()["why"] == {f"the server failed last time: {kind}": 1}
    assert (plan.count("changed"), plan.count("failed"), len(plan.asks)) == (1, 1, 1)
    assert [row.entity for row in other.rows] == ["i3"]  # a retry takes the errors it names, and no others
    assert (done.calls, errors_of(shop)) == (1, {"i3": "refused"})


def test_how_an_answer_ended_is_stored_counted_and_part_of_the_books(shop):
    shop.configure(rules={"Thing 3": "cut off"})

    done = shop.ask("kar_item")

    rows = shop.lineage("kar_item")
    answers = read_answers(shop.place().store, [row["answer_key"] for row in rows.values()], ["key", "finish"])
    assert dict(answers.iter_rows())[rows["kar_item/i3/0"]["answer_key"]] == "length"
    assert (done.answered, done.cut_off, answers["finish"].to_list().count("length")) == (12, 1, 1)


def test_counts_of_tokens_that_no_column_holds_do_not_end_the_run(shop, monkeypatch):
    monkeypatch.setattr("scripted.ScriptedEngine.count_tokens", lambda self, messages: 10**12)

    assert shop.ask("kar_item").input_tokens == 12 * 10**12
