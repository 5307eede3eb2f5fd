"""Vectors of an encoder that was tuned on events are known only later than these: the read path and the leak check."""

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from feature_store.database import Store
from feature_store.leak_check import leak_check
from feature_store.leak_evidence import Evidence
from feature_store.leak_made import UNSAID
from feature_store.lineage import EPOCH, VectorName, row_key, write_lineage
from feature_store.releases import publish, released_knowledge
from feature_store.schemas import LINEAGE
from feature_store.vectors import as_of_rows, text_key, write_vectors
from sources.tables import event_id

NOON = datetime(2020, 1, 1, 12, tzinfo=UTC)


def hours(number: float) -> datetime:
    return NOON + timedelta(hours=number)


def row(kind: str, entity: str, as_of: datetime, text: str) -> dict:
    about = {"task": f"about_{kind}", "entity_type": kind, "entity": entity, "as_of": as_of}
    made = {"row": row_key(f"about_{kind}", entity, as_of), "text": text, "text_key": text_key(text)}
    return {**dict.fromkeys(LINEAGE.names), **about, **made, "created_at": NOON}


def released(folder, seen_until: str | None, *rows: dict):
    """Release rows whose vectors are [number of the row, 1]."""
    store = Store(folder / "store")
    made = {"fingerprint": "fit", "dimension": 2} | ({"seen_until": seen_until} if seen_until else {})
    with store.writer("a test") as writer:
        write_lineage(writer, list(rows))
        for place, one in enumerate(rows):
            vector, name = np.array([[place, 1]], dtype=np.float32), VectorName(one["task"], "note")
            write_vectors(writer, name, "fit", [one["text_key"]], vector)
        return store, publish(writer, {"vectors": {f"{one['task']}/note": made for one in rows}})


def known_at(knowledge) -> list[datetime]:
    return [moment.replace(tzinfo=UTC) for moment in knowledge.as_of.tolist()]


def test_facts_of_the_epoch_become_known_when_the_encoder_was_tuned(tmp_path):
    store, release = released(tmp_path, "2020-01-01T14:00:00+02:00", row("item", "a", EPOCH, "A"))

    knowledge = released_knowledge(store, release, "about_item", "note")

    assert known_at(knowledge) == [NOON]  # 14:00 two hours east of Greenwich
    moments = [moment.replace(tzinfo=None) for moment in (hours(-1), NOON, hours(1))]
    samples = np.array(moments, dtype="datetime64[us]")
    seen = as_of_rows(np.zeros(3, np.int64), samples, np.zeros(1, np.int64), knowledge.as_of)
    assert seen.tolist() == [-1, -1, 0]  # strictly later alone


def test_without_such_an_encoder_nothing_is_raised(tmp_path):
    store, release = released(tmp_path, None, row("item", "a", EPOCH, "A"))

    knowledge = released_knowledge(store, release, "about_item", "note")

    assert (known_at(knowledge), knowledge.seen_until) == ([EPOCH], None)


def test_of_snapshots_that_become_known_at_once_the_newest_is_read_and_later_ones_keep_their_time(tmp_path):
    # 9 and 10 microseconds after the epoch: as texts their keys stand in the wrong order
    early = EPOCH + timedelta(microseconds=9)
    snapshots = (early, early + timedelta(microseconds=1), hours(3))
    rows = [row("user", "u", moment, f"snapshot {place}") for place, moment in enumerate(snapshots)]
    store, release = released(tmp_path, NOON.isoformat(), *rows)

    knowledge = released_knowledge(store, release, "about_user", "note")

    read = sorted(zip(known_at(knowledge), knowledge.vectors[:, 0].tolist(), strict=True))
    assert read == [(NOON, 1.0), (hours(3), 2.0)]


def test_rows_about_events_keep_the_events_time_and_say_what_their_encoder_saw(tmp_path):
    store, release = released(tmp_path, NOON.isoformat(), row("event", event_id("u", "a"), hours(-2), "why"))

    knowledge = released_knowledge(store, release, "about_event", "note")

    assert known_at(knowledge) == [hours(-2)]
    assert knowledge.seen_until == np.datetime64("2020-01-01T12:00:00", "us")


def evidence_of(*moments: datetime) -> Evidence:
    """Samples of u on a at some moments, and what the encoder's own folder says of it."""
    schema = {"user": pl.String, "item": pl.String, "time": pl.Datetime("us", "UTC"), "rating": pl.Float32}
    events = pl.DataFrame([("u", "a", moment, None) for moment in moments], schema=schema, orient="row")
    names = {name: ["a"] for name in ("item", "name", "title", "described", "says")}
    events = events.with_columns(shown=pl.lit("A"), part=pl.lit("train"))
    return Evidence(events, pl.DataFrame(names), encoders={"fit": NOON})


def test_the_leak_check_asks_the_tables_and_names_samples_of_a_release_that_says_too_little(tmp_path):
    evidence = evidence_of(hours(-1), NOON, hours(1))
    store, release = released(tmp_path / "told", NOON.isoformat(), row("item", "a", EPOCH, "A"))
    assert leak_check(store, release, evidence).leaks == 0

    for number, (said, first) in enumerate({None: hours(-1), hours(-1).isoformat(): NOON}.items()):
        store, release = released(tmp_path / str(number), said, row("item", "a", EPOCH, "A"))
        (found,) = leak_check(store, release, evidence).counter_examples

        assert (found.question, found.time) == (UNSAID, first)
        assert found.row == f"{row_key('about_item', 'a', EPOCH)} by about_item/note"
        assert found.event == "sample of user u on item a"


def test_rows_about_events_are_given_out_with_their_encoder_s_date_too(tmp_path):
    evidence = evidence_of(hours(-3), hours(-1))
    rows = row("event", event_id("u", "a"), hours(-3), "why")
    (found,) = leak_check(*released(tmp_path / "forgot", None, rows), evidence).counter_examples

    assert (found.question, found.as_of, found.time) == (UNSAID, hours(-3), hours(-1))
    assert leak_check(*released(tmp_path / "told", NOON.isoformat(), rows), evidence).leaks == 0


@pytest.mark.parametrize("zone", ["+00:00", "-05:00"])
def test_a_time_zone_moves_the_moment(tmp_path, zone):
    store, release = released(tmp_path, f"2020-01-01T12:00:00{zone}", row("item", "a", EPOCH, "A"))

    expected = datetime.fromisoformat(f"2020-01-01T12:00:00{zone}").astimezone(UTC)

    assert known_at(released_knowledge(store, release, "about_item", "note")) == [expected]
