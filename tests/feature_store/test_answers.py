"""The answers: on disk the moment they come, taken up after a kill, and never there twice."""

import json
from datetime import UTC, date, datetime, timedelta

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feature_store.answers import (
    JOURNAL,
    READ_ROWS,
    TABLE,
    answer_log,
    failed_calls,
    known_answers,
    read_answers,
    scan_answers,
    write_answers,
)
from feature_store.database import Store
from feature_store.keys import check_keys
from feature_store.schemas import ANSWERS

MOMENT = datetime(2026, 11, 1, 12, 30, 0, 123_456, tzinfo=UTC)


def row(key: str, text: str | None = "a text", error: str | None = None) -> dict:
    empty = dict.fromkeys(ANSWERS.names)
    return {
        **empty,
        "key": key,
        "text": text,
        "error": error,
        "messages": "[]",
        "input_tokens": 3,
        "created_at": MOMENT,
    }


def journal_line(answer: dict) -> bytes:
    return (json.dumps(answer, default=lambda moment: moment.isoformat()) + "\n").encode()


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


def test_an_answer_is_known_before_it_is_committed(store):
    with store.writer("a test") as writer, answer_log(writer) as log:
        log.append(row("a"))
        log.append(row("b", None, "refused"))

        assert len(log) == 2
        assert known_answers(store) == {"a": None, "b": "refused"}
        assert not store.has(TABLE)
        log.commit()

        assert len(log) == 0
        assert (store.folder / JOURNAL).read_bytes() == b""
        assert known_answers(store) == {"a": None, "b": "refused"}


@settings(deadline=None, max_examples=30)
@given(text=st.text(), cut=st.integers(0, 400))
def test_what_a_killed_process_left_in_the_journal_is_taken_up_and_a_cut_off_line_is_not(tmp_path_factory, text, cut):
    store = Store(tmp_path_factory.mktemp("store") / "store")
    store.folder.mkdir()
    last = journal_line(row("c"))
    (store.folder / JOURNAL).write_bytes(
        journal_line(row("a", text)) + journal_line(row("b")) + last[: min(cut, len(last) - 1)]
    )

    assert known_answers(store) == {"a": None, "b": None}
    with store.writer("a test") as writer, answer_log(writer) as log:
        log.append(row("d"))

    found = read_answers(store, ["a", "b", "c", "d"]).sort("key")
    assert found["key"].to_list() == ["a", "b", "d"]
    assert found.row(0, named=True) == row("a", text)
    assert (store.folder / JOURNAL).read_bytes() == b""


def test_a_kill_between_commit_and_emptying_doubles_nothing(store):
    with store.writer("a test") as writer, answer_log(writer) as log:
        log.append(row("a"))
        log.append(row("b"))
    (store.folder / JOURNAL).write_bytes(
        journal_line(row("a")) + journal_line(row("b"))
    )  # as if it had not been emptied

    with store.writer("a test") as writer, answer_log(writer):
        pass

    assert check_keys(store, TABLE, "key") == 2


EARLIER, LATER = MOMENT - timedelta(hours=1), MOMENT + timedelta(hours=1)


@pytest.mark.parametrize(
    ("journal", "table", "kept"),
    [
        ((None, "timeout", EARLIER), ("a text", None, MOMENT), "table"),
        ((None, "timeout", LATER), ("a text", None, MOMENT), "table"),  # a text was paid for
        (("a text", None, EARLIER), (None, "timeout", MOMENT), "journal"),
        (("a text", None, LATER), (None, "timeout", MOMENT), "journal"),
        (("a text", None, EARLIER), ("another", None, MOMENT), "table"),
        (("a text", None, LATER), ("another", None, MOMENT), "journal"),
        ((None, "timeout", EARLIER), (None, "refused", MOMENT), "table"),
        ((None, "timeout", LATER), (None, "refused", MOMENT), "journal"),
    ],
)
def test_a_killed_machines_journal_does_not_replace_what_another_has_written_since(store, journal, table, kept):
    (left, there) = ({**row("a", text, error), "created_at": made} for text, error, made in (journal, table))
    with store.writer("another machine") as writer:
        write_answers(writer, [there, row("c")])
    (store.folder / JOURNAL).write_bytes(journal_line(left) + journal_line(row("b")))
    better = there if kept == "table" else left

    assert known_answers(store) == {"a": better["error"], "b": None, "c": None}
    if kept == "table" and better["error"] is None:
        assert failed_calls(store) == {}
    with store.writer("the same command again") as writer, answer_log(writer):
        pass

    assert read_answers(store, "abc").sort("key").to_dicts() == [better, row("b"), row("c")]
    assert (store.folder / JOURNAL).read_bytes() == b""


def test_a_retried_answer_replaces_its_error(store):
    for answer in (row("a", None, "refused"), row("a", "a text")):
        with store.writer("a test") as writer, answer_log(writer) as log:
            log.append(answer)

    assert known_answers(store) == {"a": None}
    assert check_keys(store, TABLE, "key") == 1


def test_an_error_in_the_middle_keeps_what_came_before_it(store):
    def fail_in_the_middle(writer) -> None:
        with answer_log(writer) as log:
            log.append(row("a"))
            raise ZeroDivisionError

    with store.writer("a test") as writer, pytest.raises(ZeroDivisionError):
        fail_in_the_middle(writer)

    assert read_answers(store, ["a"])["text"].to_list() == ["a text"]


def test_only_the_answers_asked_for_are_read_and_only_their_columns(store):
    with store.writer("a test") as writer, answer_log(writer) as log:
        for key in "abc":
            log.append(row(key))

    found = read_answers(store, ["b", "z"], ["key", "text"])

    assert found.to_dicts() == [{"key": "b", "text": "a text"}]


def test_reading_a_store_that_is_not_there_creates_nothing(store):
    assert known_answers(store) == {}
    assert read_answers(store, ["a"]).height == 0
    assert not store.folder.exists()


def test_the_answers_of_one_model_are_scanned_a_few_thousand_at_a_time_and_no_others(store):
    many = 2 * READ_ROWS + 5
    models = [("it's", "1", ""), ("it's", "2", ""), ("it's", "1", "style@3")]
    rows = [
        {**row(f"{place}"), **dict(zip(("model", "revision", "adapter"), models[place % 3], strict=True))}
        for place in range(3 * many)
    ]
    with store.writer("a test") as writer:
        write_answers(writer, rows)

    own = [str(place) for place in range(0, 3 * many, 3)]
    strangers = {str(place) for place in range(1, 3 * many, 3)}
    for wanted in (own, own[1:100]):  # of a few, the others are not even read
        parts = list(scan_answers(store, {*wanted, *strangers, "none"}, ["key", "text"], "it's", "1", ""))

        assert max(map(len, parts)) <= READ_ROWS
        found = [key for part in parts for key in part["key"]]
        assert sorted(found, key=int) == wanted
    assert list(scan_answers(store, set(), ["key"], "it's", "1", "")) == []
    assert list(scan_answers(Store(store.folder / "none"), {"0"}, ["key"], "it's", "1", "")) == []


def test_the_cutoff_of_an_answer_comes_back_from_a_journal_and_an_older_journal_knows_none(store):
    store.folder.mkdir()
    older = {key: value for key, value in row("a").items() if key != "knowledge_cutoff"}
    newer = {**row("b"), "knowledge_cutoff": date(2024, 6, 30)}
    (store.folder / JOURNAL).write_bytes(b"".join(map(journal_line, (older, newer))))

    with store.writer("a test") as writer, answer_log(writer) as log:
        log.append({**row("c"), "knowledge_cutoff": date(2025, 1, 31)})

    kept = dict(read_answers(store, ["a", "b", "c"]).select("key", "knowledge_cutoff").iter_rows())
    assert kept == {"a": None, "b": date(2024, 6, 30), "c": date(2025, 1, 31)}


@settings(deadline=None, max_examples=30)
@given(
    damage=st.sampled_from(
        [b"\0" * 8, b"", b'{"key": "x", "te', b"[]", b'"text"', b"null", b'{"key": 3, "error": null}']
    )
    | st.binary(max_size=30).filter(lambda line: b"\n" not in line),
    before=st.integers(0, 3),
)
def test_a_damaged_line_costs_its_own_answer_and_no_other(tmp_path_factory, damage, before):
    store = Store(tmp_path_factory.mktemp("store") / "store")
    store.folder.mkdir()
    lines = [journal_line(row(key)) for key in "abc"]
    lines.insert(before, damage + b"\n")
    (store.folder / JOURNAL).write_bytes(b"".join(lines))

    assert known_answers(store) == dict.fromkeys("abc")
    with store.writer("a test") as writer, answer_log(writer):
        pass
    assert read_answers(store, ["a", "b", "c"])["key"].sort().to_list() == ["a", "b", "c"]


def test_damaged_lines_are_named_once_with_their_file_and_what_becomes_of_them(store, caplog):
    store.folder.mkdir()
    (store.folder / JOURNAL).write_bytes(b"\0" * 8 + b"\n" + journal_line(row("a")) + b'{"key": "b", "te\n')

    for _ in range(2):
        known_answers(store)

    (message,) = caplog.messages
    assert message == (
        f"{store.folder / JOURNAL}: 2 lines are damaged and left out (1, 3); what they held is asked again"
    )


def test_how_an_answer_ended_and_who_gave_it_comes_back_and_an_older_store_knows_neither(store, monkeypatch):
    later = ("finish", "answered_by", "attempts")
    older = pa.schema([field for field in ANSWERS if field.name not in later])
    with monkeypatch.context() as before, store.writer("a test") as writer:
        before.setattr("feature_store.answers.ANSWERS", older)
        write_answers(writer, [{key: value for key, value in row("a").items() if key not in later}])
    assert read_answers(store, ["a"], ["key", "finish"]).to_dicts() == [{"key": "a", "finish": None}]

    with store.writer("a test") as writer, answer_log(writer) as log:
        log.append({**row("b"), "finish": "length", "answered_by": "some-other-1b", "attempts": 2})

    found = read_answers(store, ["a", "b"], ["key", *later]).sort("key").rows()
    assert found == [("a", None, None, None), ("b", "length", "some-other-1b", 2)]
