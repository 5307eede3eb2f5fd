"""Gates: each closes on exactly what it is for, and says what it found."""

import random
from datetime import UTC, datetime

import lance
import numpy as np
import pytest

from base.faults import CheckFailed
from feature_store.answers import write_answers
from feature_store.database import Store
from feature_store.gate import GatesClosed, GatesConfig
from feature_store.gates import check_gates
from feature_store.leak_check import LeakReport
from feature_store.lineage import VectorName, row_key, write_lineage
from feature_store.releases import Release, ReleasedVectors, publish
from feature_store.schemas import LINEAGE, vectors_schema
from feature_store.vectors import shared_table, text_key, vectors_table, write_state, write_vectors

DAY = datetime(2024, 5, 1, tzinfo=UTC)
CLEAN = LeakReport(rows=10, samples=20, pairs=30, leaks=0, counter_examples=())
NAME = VectorName("toy", "lexical")
MADE = {NAME: ReleasedVectors("fit", 2)}


def row(entity: str, text: str | None, error: str | None = None, task: str = "toy") -> dict:
    about = {"task": task, "entity_type": "item", "entity": entity, "as_of": DAY, "text": text, "error": error}
    key = text_key(text) if text is not None else None
    return {**dict.fromkeys(LINEAGE.names), **about, "row": row_key(task, entity, DAY), "text_key": key}


@pytest.fixture
def filled(tmp_path):
    """A store with rows; every text has a vector of the fit `fit` unless told otherwise."""

    def fill(rows: list[dict], encoded: list[str] | None = None) -> Store:
        store = Store(tmp_path / "store")
        keys = (
            sorted({r["text_key"] for r in rows if r["text_key"]})
            if encoded is None
            else [text_key(t) for t in encoded]
        )
        with store.writer("a test") as writer:
            write_lineage(writer, rows)
            write_vectors(writer, NAME, "fit", keys, np.ones((len(keys), 2), dtype=np.float32))
        return store

    return fill


def closed(
    store: Store, config: GatesConfig | None = None, leaks=CLEAN, before=None, tasks=("toy",), vectors=None
) -> dict[str, str]:
    """Names of the gates that do not hold, with what they found."""
    gates = check_gates(store, tasks, MADE if vectors is None else vectors, config or GatesConfig(), leaks, before)
    return {gate.name: gate.found for gate in gates if not gate.holds}


def ten(good: int, error: str) -> list[dict]:
    return [row(f"i{n}", f"text {n}") for n in range(good)] + [row(f"i{n}", None, error) for n in range(good, 10)]


def test_all_gates_hold_over_a_whole_store(filled):
    assert closed(filled(ten(10, ""))) == {}


@pytest.mark.parametrize(("good", "holds"), [(9, True), (8, False)])
def test_too_few_answered_rows_close_the_coverage_gate_and_the_commonest_reason_is_told(filled, good, holds):
    found = closed(filled(ten(good, "refused: no")), GatesConfig(answered=0.9))

    assert found == ({} if holds else {"toy answered": "80.0% of 10 rows, at least 90.0%; most often: refused: no"})


def test_a_task_without_a_single_row_is_no_full_coverage(filled):
    found = closed(filled([row("i0", "text", task="other")]), tasks=("toy",))

    assert found == {"toy answered": "0.0% of 0 rows, at least 90.0%"}


@pytest.mark.parametrize(("good", "holds"), [(9, True), (8, False)])
def test_too_many_parse_failures_close_their_gate(filled, good, holds):
    found = closed(filled(ten(good, "parse: the answer is empty")), GatesConfig(answered=0, parse_failures=0.1))

    assert found == ({} if holds else {"toy parsed": "20.0% failed to parse, at most 10.0%"})


def test_a_refused_row_is_no_parse_failure(filled):
    assert closed(filled(ten(5, "refused: no")), GatesConfig(answered=0, parse_failures=0)) == {}


@pytest.mark.parametrize(("changed", "holds"), [(2, True), (3, False)])
def test_too_many_changed_texts_close_the_drift_gate_and_new_rows_do_not_count(filled, changed, holds):
    store = filled([row(f"i{n}", f"text {n}" if n >= changed else "another") for n in range(10)])
    with store.writer("a test") as writer:
        before = publish(writer, {})
    filled([*(row(f"i{n}", f"text {n}") for n in range(10)), row("new", "new text")])

    found = closed(store, GatesConfig(drift=0.2), before=before)

    assert found == ({} if holds else {"toy drift": "30.0% of 10 texts changed, at most 20.0%"})


def test_a_text_that_was_not_encoded_closes_its_gate(filled):
    store = filled(ten(10, ""), encoded=[f"text {n}" for n in range(9)])

    assert closed(store) == {"toy/lexical encoded": "1 texts without a vector"}


def test_a_vector_of_another_fit_does_not_count(filled):
    found = closed(filled(ten(10, "")), vectors={NAME: ReleasedVectors("other fit", 2)})

    assert found == {"toy/lexical encoded": "10 texts without a vector"}


def test_a_leak_closes_its_gate(filled):
    leaks = LeakReport(rows=10, samples=20, pairs=30, leaks=2, counter_examples=(), scope="all rows")

    assert closed(filled(ten(10, "")), leaks=leaks) == {
        "no leak": "2 leaks in 30 pairs of a sample and a row; all rows"
    }


def test_tasks_of_one_space_encoded_by_two_fits_close_a_gate(filled):
    store = filled([row("i0", "one"), row("u0", "two", task="toy_user")])
    with store.writer("a test") as writer:
        write_vectors(writer, NAME, "new fit", [text_key("one")], np.ones((1, 2), dtype=np.float32))
        other = VectorName("toy_user", "lexical")
        write_vectors(writer, other, "fit", [text_key("two")], np.ones((1, 2), dtype=np.float32))
        write_state(writer, "lexical", "toy", "fit", [], b"")
        write_state(writer, "lexical", "toy", "new fit", [], b"")
    made = {
        NAME: ReleasedVectors("new fit", 2),
        VectorName("toy_user", "lexical"): ReleasedVectors("fit", 2),
    }

    found = closed(store, tasks=("toy", "toy_user"), vectors=made)

    assert found == {"lexical space of toy": "toy, toy_user encoded by 2 fits"}
    assert closed(store, tasks=("toy", "toy_user"), vectors=dict.fromkeys(made, ReleasedVectors("fit", 2))) == {}


@pytest.mark.parametrize("layout", ["its own table", "the table that techniques shared"])
def test_vectors_of_the_current_release_are_compared_as_it_pins_them(filled, layout):
    vectors = np.random.default_rng(0).normal(size=(30, 2)).astype(np.float32)
    rows = [row(f"i{n}", f"new {n}") for n in range(30)]
    store = filled([row(f"i{n}", f"old {n}") for n in range(30)], encoded=[])
    old, lineage = [text_key(f"old {n}") for n in range(30)], store.version("lineage")
    table = vectors_table(NAME, 2) if layout == "its own table" else shared_table("lexical", 2)
    with store.writer("a test") as writer:
        write_vectors(writer, NAME, "fit", old, vectors)
        if layout != "its own table":
            writer.upsert(table, store.open(vectors_table(NAME, 2)).to_table(), vectors_schema(2))
        pinned = store.version(table)
        write_lineage(writer, rows)
        writer.clear(vectors_table(NAME, 2))
        write_vectors(writer, NAME, "fit", old, vectors[::-1])  # nobody's
        write_vectors(writer, NAME, "fit", [one["text_key"] for one in rows], vectors)
    facts = {"vectors": {str(NAME): MADE[NAME].to_facts()}}
    current = Release("rel-000001", DAY, None, {table: pinned, "lineage": lineage}, facts)

    gates = check_gates(store, ["toy"], MADE, GatesConfig(), CLEAN, current)

    (found,) = [gate.found for gate in gates if gate.name == "toy/lexical neighbours"]
    assert found == "100.0% of the 10 nearest among 30 rows are the same, at least 50.0%"


def test_a_doubled_key_in_any_table_ends_the_check(filled):
    store = filled(ten(10, ""))
    table = lance.dataset(str(store.path("vectors_lexical_2.toy"))).to_table()
    lance.write_dataset(table.slice(0, 1), str(store.path("vectors_lexical_2.toy")), mode="append")

    with pytest.raises(CheckFailed, match=r"vectors_lexical_2\.toy: 1 of 11 rows repeat a key"):
        closed(store)


def test_a_closed_gate_is_told_with_all_gates_and_what_to_do(filled):
    store = filled(ten(5, "refused: no"))
    gates = check_gates(store, ["toy"], MADE, GatesConfig(), CLEAN, None)

    text = str(GatesClosed(gates))

    assert text.startswith("nothing was released; the current release is unchanged\n")
    assert "  FAILED  toy answered: 50.0% of 10 rows, at least 90.0%; most often: refused: no\n" in text
    assert "  holds   toy parsed: 0.0% failed to parse, at most 2.0%\n" in text
    assert text.endswith("then run: knowflow refresh")
    assert str(GatesClosed(gates, "knowflow rewrites")).endswith("then run: knowflow rewrites")


def test_what_is_kept_of_texts_changes_no_gate(filled, tmp_path):
    chance, before, whole = random.Random(0), None, []

    def say() -> str:
        begin = chance.choice(["I am sorry, I cannot help", "Ein Film, der", "A film that", "</think> Фильм"])
        return " ".join([begin, *chance.choices(["the", "die", "warm", "Фильм", "and", "gone"], k=30)])

    said = [say() for _ in range(40)] * 2
    for new in ([], [3, 7], [], range(20), [79]):
        said = [say() if n in new else text for n, text in enumerate(said)]
        store = filled([{**row(f"i{n}", text), "answer_key": f"k{n}"} for n, text in enumerate(said)])
        with store.writer("a test") as writer:
            write_answers(writer, [{"key": f"k{n}", "finish": "stop"} for n in range(80)])
        whole = check_gates(store, ["toy"], MADE, GatesConfig(), CLEAN, before)
        assert check_gates(store, ["toy"], MADE, GatesConfig(), CLEAN, before, kept=tmp_path / "texts") == whole
        with store.writer("a test") as writer:
            before = publish(writer, {"vectors": {str(name): made.to_facts() for name, made in MADE.items()}})

    assert {gate.setting for gate in whole if not gate.holds} >= {"refusals", "language", "alike", "thinking"}


@pytest.mark.parametrize(("cut", "holds"), [(1, True), (2, False)])
def test_too_many_answers_that_were_cut_off_close_their_gate(filled, cut, holds):
    rows = [{**row(f"i{n}", f"text {n}"), "answer_key": f"k{n}"} for n in range(10)]
    store = filled(rows)
    answers = [{"key": f"k{n}", "finish": "length" if n < cut else "stop"} for n in range(10)]
    with store.writer("a test") as writer:
        write_answers(writer, [*answers, {"key": "of an older row", "finish": "length"}])

    found = closed(store, GatesConfig(cut_off=0.1))

    words = (
        "20.0% of answers cut off, at most 10.0%; raise sampling.max_tokens in the prompt, or ask for shorter answers"
    )
    assert found == ({} if holds else {"toy cut off": words})


def test_closed_gates_name_the_command_for_every_kind_of_error_that_is_there(filled):
    rows = [*ten(5, "refused: no"), row("i10", None, "http_502: Bad Gateway"), row("i11", None, "parse: empty")]
    gates = check_gates(filled(rows), ["toy"], MADE, GatesConfig(), CLEAN, None)

    lines = str(GatesClosed(gates)).splitlines()

    assert [line.rpartition(": ")[2] for line in lines if "retry" in line] == [
        "knowflow retry --error http_502",
        "knowflow retry --error parse",
        "knowflow retry --error refused",
    ]
