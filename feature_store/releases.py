"""Releases: an atomic pointer to one version of every table, and reads through it."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from base.faults import WrongUse
from base.files import write_whole
from feature_store.answers import TABLE as ANSWERS_TABLE
from feature_store.answers import read_answers
from feature_store.database import Store, Writer
from feature_store.identity import StoreFault
from feature_store.lineage import TABLE as LINEAGE_TABLE
from feature_store.lineage import VectorName, read_lineage
from feature_store.release_list import TABLE, NoRelease, all_releases, get_release
from feature_store.release_list import list_releases as list_releases  # noqa: PLC0414 - read with all that is below
from feature_store.release_record import Release, ReleasedVectors, read_row, row_of
from feature_store.schemas import ANSWERS, RELEASES
from feature_store.vectors import Knowledge, mean_of_sets, read_vectors, shared_table, vectors_table

COPY = "releases.jsonl"
"""A copy of the table beside it."""
KNOWN = ["row", "entity", "entity_type", "as_of", "model_seen_until", "text_key"]
"""What is read of the lineage to find vectors; texts are long, and a row without one has no key of it."""


def publish(writer: Writer, facts: Mapping[str, Any]) -> Release:
    """Publish the current state of all tables under the next name.

    Check the gates with the same writer, so that they check what is published. First every table's version is tagged;
    then one row is inserted, and that commit is the switch: a reader sees the old release or the new one, never a
    mixture, whenever the writer is killed.
    """
    store = writer.store
    versions = {table: store.version(table) for table in store.tables() if table != TABLE}
    name = _next_name(store)
    for table, version in versions.items():
        writer.tag(table, name, version)
    digests = store.place.note_sums(versions)
    return _insert(writer, Release(name, datetime.now(UTC), None, versions, {**facts, "checksums": digests}))


def roll_back(writer: Writer, name: str) -> Release:
    """Make a release current, and pin it, by adding a row that points to its tables.

    Raises:
        NoRelease: There is no release of that name.
    """
    old = get_release(writer.store, name)
    target = old.rolled_back_to or old.name
    facts = {key: value for key, value in old.facts.items() if key != "unpinned"}
    return _insert(writer, Release(_next_name(writer.store), datetime.now(UTC), target, old.versions, facts))


def unpin(writer: Writer, name: str) -> Release:
    """Let the next refresh publish again.

    Args:
        writer: The writer.
        name: The current release, or the one it points to.

    Raises:
        WrongUse: The current release is not pinned, or it is another one.
    """
    current = get_release(writer.store)
    if name not in (current.name, current.rolled_back_to):
        raise WrongUse(f"{name} is not the current release, which is {current.name}\n  see: knowflow release list")
    if not current.pinned:
        raise WrongUse(f"{current.name} is not pinned: refresh publishes\n  see: knowflow release list")
    return _insert(writer, replace(current, facts={**current.facts, "unpinned": True}))


def mark_damaged(writer: Writer, release: Release, why: str) -> Release:
    """Take a release out of service; the newest of the others becomes current."""
    return _insert(writer, replace(release, facts={**release.facts, "damaged": why}))


def _next_name(store: Store) -> str:
    releases = all_releases(store)
    return f"rel-{int(releases[-1].name.removeprefix('rel-')) + 1 if releases else 1:06d}"


def _insert(writer: Writer, release: Release) -> Release:
    writer.upsert(TABLE, pa.Table.from_pylist([row_of(release)], schema=RELEASES), RELEASES)
    write_copy(writer.store)
    return release


def write_copy(store: Store) -> None:
    """Write all rows of the table to a file on this machine, one line each, for `knowflow repair`; take checksums."""
    lines = (json.dumps(row_of(release), default=str) + "\n" for release in all_releases(store))
    write_whole(store.folder / COPY, "".join(lines))
    store.place.note_sums({TABLE: store.version(TABLE)})


def read_copy(store: Store) -> list[Release]:
    """Read the copy of the table; empty for a store that has none.

    Raises:
        StoreFault: It is damaged.
    """
    file = store.folder / COPY
    try:
        rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
        return [read_row({**row, "created_at": datetime.fromisoformat(row["created_at"])}) for row in rows]
    except FileNotFoundError:
        return []
    except (ValueError, KeyError, TypeError):
        raise StoreFault(f"{file} is damaged\n  make it anew: knowflow repair") from None


def released_lineage(
    store: Store, release: Release, tasks: Iterable[str] | None = None, columns: list[str] | None = None
) -> pl.DataFrame:
    """Return the lineage as the release holds it."""
    if LINEAGE_TABLE not in release.versions:  # a table made later does not belong to this release
        return read_lineage(store, [], columns)
    return read_lineage(store, tasks, columns, release.versions[LINEAGE_TABLE])


def released_answers(
    store: Store, release: Release, keys: Iterable[str], columns: list[str] | None = None
) -> pl.DataFrame:
    """Return answers as the release holds them."""
    if ANSWERS_TABLE not in release.versions:
        return pl.DataFrame(pl.from_arrow(ANSWERS.empty_table().select(columns or ANSWERS.names)))
    return read_answers(store, keys, columns, release.versions[ANSWERS_TABLE])


def released_texts(store: Store, release: Release, task: str) -> pl.DataFrame:
    """Return the rows of one task that have a text, as the release holds them: entity, as_of, model_seen_until, text.

    Raises:
        NoRelease: The release holds no texts of the task.
    """
    columns = ["entity", "as_of", "model_seen_until", "text"]
    rows = released_lineage(store, release, [task], columns).drop_nulls("text")
    if rows.is_empty():
        raise NoRelease(f"{release.name}: holds no texts of {task}\n  make them: knowflow refresh --task {task}")
    return rows


def made_vectors(release: Release, task: str, encoder: str, fix: str) -> ReleasedVectors:
    """Return what a release records of the vectors of a task and an encoder.

    Args:
        release: The release.
        task: Name of the technique.
        encoder: Name of the encoder.
        fix: What to do if there are none; ends the error message.

    Raises:
        NoRelease: The release holds no such vectors.
    """
    vectors, name = release.vectors, VectorName(task, encoder)
    if name not in vectors:
        there = ", ".join(map(str, vectors)) or "none"
        raise NoRelease(f"{release.name}: holds no vectors of {task} under {encoder}; there are: {there}\n  {fix}")
    return vectors[name]


def released_table(release: Release, name: VectorName, dimension: int) -> str:
    """Return the table in which a release holds some vectors: their own, or that which all techniques once shared."""
    own, shared = vectors_table(name, dimension), shared_table(name.encoder, dimension)
    return shared if own not in release.versions and shared in release.versions else own


def released_knowledge(store: Store, release: Release, task: str, encoder: str, *, pooled: bool = True) -> Knowledge:
    """Read the vectors of one task, or of one part of its answers, from one encoder, through a release.

    If an answer has a set of texts, an entity has several vectors at one moment: their mean is returned or, with
    `pooled=False`, all of them.

    A vector from an encoder that was tuned on events reveals them: a row about an item or a user counts as known from
    the later of its own `as_of` and the newest of these events. Samples get vectors only through this function.

    Args:
        store: The store.
        release: The release.
        task: Name of the technique, or of a part of its answers.
        encoder: Name of the encoder.
        pooled: Whether to average the vectors of a set.

    Raises:
        NoRelease: The release holds no such vectors.
        MissingVectors: The table of the release lacks some of them.
    """
    made = made_vectors(
        release, task, encoder, "add the task and the encoder to knowflow.yaml, then run: knowflow refresh"
    )
    rows = released_lineage(store, release, [task], KNOWN).drop_nulls("text_key").sort("row")
    seen_until = made.known_from
    if seen_until is not None:
        rows = _known_later(rows, seen_until)
    seen_until = _with_models(rows, seen_until)
    table = released_table(release, VectorName(task, encoder), made.dimension)
    keys, version = rows["text_key"].to_list(), release.versions.get(table)
    holder = f"release {release.name}"
    vectors = read_vectors(store, table, made.dimension, made.fingerprint, keys, version, holder)
    knowledge = Knowledge(
        task=task,
        encoder=encoder,
        entity=rows["entity_type"][0] if len(rows) else "item",
        entities=rows["entity"].to_numpy().astype(str) if len(rows) else np.array([], dtype=str),
        as_of=rows["as_of"].dt.replace_time_zone(None).to_numpy().astype("datetime64[us]"),
        vectors=vectors,
        seen_until=seen_until,
    )
    return mean_of_sets(knowledge) if pooled else knowledge


def _with_models(rows: pl.DataFrame, seen_until: np.datetime64 | None) -> np.datetime64 | None:
    """Return the newest event that the encoder, or the model that wrote about events, was tuned on.

    Rows about items and users are dated by their model when they are made; those about events keep their time.
    """
    about_events = rows.filter(pl.col("entity_type") == "event")["model_seen_until"].dt.replace_time_zone(None)
    times = [
        *about_events.drop_nulls().to_numpy().astype("datetime64[us]"),
        *([] if seen_until is None else [seen_until]),
    ]
    return max(times, default=None)


def _known_later(rows: pl.DataFrame, seen_until: np.datetime64) -> pl.DataFrame:
    """Raise `as_of` of rows about items and users; of rows that become known together, keep the newest.

    Several rows of one moment (the texts of a set) stay together.
    """
    newest = pl.lit(seen_until).dt.replace_time_zone("UTC")
    raised = pl.when(pl.col("entity_type") == "event").then("as_of").otherwise(pl.max_horizontal("as_of", newest))
    return (
        rows.sort("as_of")
        .with_columns(known=raised)
        .filter(pl.col("as_of") == pl.col("as_of").max().over("entity", "known"))
        .with_columns(as_of="known")
        .drop("known")
        .sort("row")
    )


def knowledge_cutoff(release: Release) -> np.datetime64 | None:
    """Return the knowledge cutoff of the models behind a release's answers; None if unknown.

    Returns:
        The last microsecond of the day, datetime64[us] in UTC: an event is after the cutoff if its time is larger.

    Example:
        >>> now = datetime(2026, 11, 2, tzinfo=UTC)
        >>> knowledge_cutoff(Release("rel-000001", now, None, {}, {"knowledge_cutoff": "2026-11-01"}))
        np.datetime64('2026-11-01T23:59:59.999999')
    """
    told = release.facts.get("knowledge_cutoff")
    if told is None:
        return None
    return (np.datetime64(told, "D") + 1).astype("datetime64[us]") - np.timedelta64(1, "us")
