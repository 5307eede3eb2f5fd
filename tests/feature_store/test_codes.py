"""Codes and edges: kept, released, read strictly before a moment, and never earlier than what is behind them."""

import json
from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_store.codes import (
    Codes,
    Edges,
    Made,
    released_codes,
    released_edges,
    write_codes,
    write_edges,
)
from feature_store.database import Store
from feature_store.leak_check import leak_check
from feature_store.leak_codes import UNSAID_CODES, seen_behind
from feature_store.leak_evidence import Evidence
from feature_store.lineage import EPOCH, VectorName, row_key, write_lineage
from feature_store.releases import NoRelease, publish
from feature_store.schemas import LINEAGE
from feature_store.vectors import text_key, write_vectors

NOON = np.datetime64("2020-01-01T12:00:00", "us")
FIRST = np.datetime64("1970-01-01", "us")


def hours(number: float) -> np.datetime64:
    return NOON + np.timedelta64(int(number * 60), "m")


def dated(time: np.datetime64) -> datetime:
    return time.astype(datetime).replace(tzinfo=UTC)


def codes_of(rows: list[tuple[str, np.datetime64, list[int]]], seen_until=None, made_from=None) -> Codes:
    entities, as_of, codes = zip(*rows, strict=True)
    made = Made("ids", "fit", made_from or {}, seen_until)
    return Codes(made, "item", np.array(entities), np.array(as_of), np.array(codes, dtype=np.int32))


def edges_of(rows: list[tuple[str, str, float, np.datetime64]], seen_until=None) -> Edges:
    source, target, weight, as_of = (np.array(column) for column in zip(*rows, strict=True))
    kind = np.full(len(source), "goes with")
    return Edges(Made("graph", "fit", {}, seen_until), source, target, kind, weight.astype(np.float32), as_of)


def test_codes_are_read_strictly_before_a_moment_the_newest_first():
    codes = codes_of([("a", hours(1), [1, 2, 3]), ("a", hours(2), [4, 5, 6]), ("b", FIRST, [7, 8, 9])])

    found = codes.at(np.array(["a", "a", "a", "b", "c"]), np.array([hours(1), hours(2), hours(3), NOON, NOON]))

    assert found.tolist() == [[-1] * 3, [1, 2, 3], [4, 5, 6], [7, 8, 9], [-1] * 3]


def test_codes_of_a_maker_that_has_seen_events_are_known_strictly_later_than_these():
    codes = codes_of([("a", hours(2), [3]), ("a", FIRST, [1]), ("a", NOON, [2])], seen_until=hours(1))

    found = codes.at(np.array(["a"] * 4), np.array([NOON, hours(1), hours(1.5), hours(3)]))

    assert found.ravel().tolist() == [-1, -1, 2, 3]  # of what becomes known at once, the newest


@given(st.integers(0, 10_000))
def test_reading_is_that_of_a_loop(seed):
    chance = np.random.default_rng(seed)
    keys = sorted({(chance.choice(list("abc")), int(chance.integers(6))) for _ in range(9)})
    rows = [(entity, hours(time), [place]) for place, (entity, time) in enumerate(keys)]
    entities, times = chance.choice(list("abcd"), 12), [hours(int(one)) for one in chance.integers(0, 8, 12)]

    found = codes_of([rows[place] for place in chance.permutation(len(rows))]).at(entities, np.array(times))

    for entity, time, (code,) in zip(entities, times, found.tolist(), strict=True):
        known = [(as_of, row[0]) for name, as_of, row in rows if name == entity and as_of < time]
        assert code == (max(known)[1] if known else -1)


def test_edges_are_those_known_strictly_before_a_moment():
    edges = edges_of([("a", "b", 1.0, hours(1)), ("a", "b", 2.0, hours(2)), ("b", "c", 3.0, FIRST)])

    def shown(time):
        before = edges.before(time)
        return sorted(zip(before.source.tolist(), before.target.tolist(), before.weight.tolist(), strict=True))

    assert shown(hours(1)) == [("b", "c", 3)]
    assert shown(hours(2)) == [("a", "b", 1), ("b", "c", 3)]
    assert shown(hours(3)) == [("a", "b", 2), ("b", "c", 3)]
    later = edges_of([("a", "b", 1.0, FIRST)], seen_until=hours(2))
    assert len(later.before(hours(2)).source) == 0
    assert len(later.before(hours(2.1)).source) == 1


def test_a_release_keeps_its_codes_and_edges_when_others_are_written(tmp_path):
    store = Store(tmp_path / "store")
    old = codes_of([("a", FIRST, [1, 2]), ("b", FIRST, [1, 3])], seen_until=NOON, made_from={"facts/dense": "fp"})
    edges = edges_of([("a", "b", 0.5, FIRST)])
    facts = {"codes": {"ids": old.made.facts()}, "edges": {"graph": edges.made.facts()}}
    with store.writer("a test") as writer:
        write_codes(writer, old)
        write_edges(writer, edges)
        release = publish(writer, json.loads(json.dumps(facts)))
        write_codes(writer, codes_of([("a", FIRST, [9, 9])], seen_until=NOON))
        write_edges(writer, edges_of([("a", "c", 1.0, FIRST)]))

    read, graph = released_codes(store, release, "ids"), released_edges(store, release, "graph")

    assert {"codes", "edges"} <= set(release.versions)
    assert dict(zip(read.entities.tolist(), read.codes.tolist(), strict=True)) == {"a": [1, 2], "b": [1, 3]}
    assert read.made == old.made
    assert (graph.source.tolist(), graph.target.tolist(), graph.weight.tolist()) == (["a"], ["b"], [0.5])
    with pytest.raises(NoRelease, match=r"holds no codes other; there are: ids"):
        released_codes(store, release, "other")


def test_a_store_from_before_there_were_codes_still_opens(tmp_path):
    store = Store(tmp_path / "store")
    with store.writer("a test") as writer:
        write_lineage(writer, [row(FIRST, "A")])
        release = publish(writer, {})

    assert leak_check(store, release, evidence()).leaks == 0
    with pytest.raises(NoRelease, match="holds no edges graph; there are: none"):
        released_edges(store, release, "graph")


def row(as_of: np.datetime64, text: str) -> dict:
    about = {"task": "facts", "entity_type": "item", "entity": "a", "as_of": dated(as_of)}
    made = {"row": row_key("facts", "a", dated(as_of)), "text": text, "text_key": text_key(text)}
    return {**dict.fromkeys(LINEAGE.names), **about, **made, "created_at": dated(hours(50))}


def evidence(**more) -> Evidence:
    moments = [dated(hours(-1)), dated(hours(5))]
    events = pl.DataFrame(
        {"user": ["u", "u"], "item": ["a", "b"], "time": moments, "rating": [None, None], "shown": ["one", "other"]}
    ).with_columns(
        pl.col("rating").cast(pl.Float32), part=pl.lit("train"), time=pl.col("time").cast(pl.Datetime("us", "UTC"))
    )
    nothing = {name: ["-", "-"] for name in ("name", "title", "described", "says")}
    return Evidence(events, pl.DataFrame({"item": ["a", "b"], **nothing}), **more)


def released(folder, codes: Codes, edges: Edges | None = None, seen_until: str | None = None):
    """Release codes that were made of vectors of one text, and what the release says of these."""
    store, said = Store(folder / "store"), {"fingerprint": "fp", "dimension": 2}
    facts = {"vectors": {"facts/note": said | ({"seen_until": seen_until} if seen_until else {})}}
    facts |= {"codes": {"ids": codes.made.facts()}} | ({"edges": {"graph": edges.made.facts()}} if edges else {})
    with store.writer("a test") as writer:
        write_lineage(writer, [row(FIRST, "A")])
        write_vectors(writer, VectorName("facts", "note"), "fp", [text_key("A")], np.ones((1, 2), dtype=np.float32))
        write_codes(writer, codes)
        if edges:
            write_edges(writer, edges)
        return store, publish(writer, facts)


@pytest.mark.parametrize("where", ["the release", "the encoder's folder"])
def test_codes_made_of_vectors_that_were_tuned_on_later_events_must_say_so(tmp_path, where):
    tuned = dated(NOON)
    seen, known = (tuned.isoformat(), {}) if where == "the release" else (None, {"encoders": {"fp": tuned}})
    made_from = {"facts/note": "fp"}
    silent, honest = (codes_of([("a", FIRST, [1])], said, made_from) for said in (None, NOON))

    store, release = released(tmp_path / "silent", silent, seen_until=seen)
    report = leak_check(store, release, evidence(**known))
    fine = leak_check(*released(tmp_path / "honest", honest, seen_until=seen), evidence(**known))

    of_codes = [one for one in report.counter_examples if one.question == UNSAID_CODES]
    assert [(one.row, one.event) for one in of_codes] == [("codes/ids/a", "sample of user u on item a")]
    assert [one for one in fine.counter_examples if one.question == UNSAID_CODES] == []
    assert seen_behind(store, release, made_from, dated(hours(99)), known.get("encoders")) == tuned


def test_rows_that_have_seen_more_than_the_release_says_are_found(tmp_path):
    edges = edges_of([("a", "b", 1.0, FIRST)], seen_until=NOON)
    store, release = released(tmp_path, codes_of([("a", FIRST, [1])]), edges)
    forgotten = {**release.facts, "edges": {"graph": {**edges.made.facts(), "seen_until": None}}}
    with store.writer("a test") as writer:
        wrong = publish(writer, forgotten)

    assert leak_check(store, release, evidence()).leaks == 0
    (found,) = leak_check(store, wrong, evidence()).counter_examples
    assert (found.question, found.row) == (UNSAID_CODES, "edges/graph/a goes with b")
    assert found.as_of == EPOCH
