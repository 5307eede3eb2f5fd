"""The features of a release: vectors, semantic ids and parsed fields, each with its clock and where it comes from."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import polars as pl

from app.feature_choice import FeatureChoice, check_names, column_name
from app.feature_fields import field_source
from base.faults import WrongUse
from feature_store.codes import CODES_TABLE, released_codes
from feature_store.database import Store
from feature_store.features import OF_WHOM, Column, Source
from feature_store.lineage import VectorName, technique_of
from feature_store.releases import Release, released_knowledge, released_lineage
from feature_store.vectors import Knowledge

BY_DEFAULT = ("user", "item")
"""Kinds of entities whose knowledge is added without being named: what is about an event says something only of a
pair that comes again."""
AGE = "age_days"


def feature_sources(store: Store, release: Release, choice: FeatureChoice) -> list[Source]:
    """Read all features of a release that are wanted.

    Args:
        store: The store.
        release: The release.
        choice: Which features are wanted.

    Raises:
        WrongUse: A technique or an encoder is not in the release, no feature has a wanted name, or none is left.
    """
    kinds = _kinds(store, release)
    named = {VectorName.read(str(name)).task for name in release.vectors} | set(kinds)
    techniques = {technique_of(task) for task in named}
    check_names("task", choice.tasks, sorted(named | techniques), f"{release.name}, --tasks")
    encoders = sorted({name.encoder for name in release.vectors})
    check_names("encoder", choice.encoders, encoders, f"{release.name}, --encoders")
    tasks = [
        task
        for task, kind in kinds.items()
        if choice.wants_task(task) and (kind in BY_DEFAULT or (choice.tasks is not None and kind in OF_WHOM))
    ]
    found = [
        *_vectors(store, release, tasks, choice),
        *_codes(store, release, choice),
        *(one for task in tasks if (one := field_source(store, release, task, choice)) is not None),
    ]
    chosen = [one for one in _with_ages(found, choice) if one.columns or one.age]
    if not chosen and not choice.adapters:
        what = "" if choice.columns is None else f" named {', '.join(choice.columns)}"
        raise WrongUse(f"{release.name}: holds no feature{what}\n  see: knowflow release show --release {release.name}")
    return chosen


def _kinds(store: Store, release: Release) -> dict[str, str]:
    """Return the techniques and parts of a release that have texts -> what they are about, sorted."""
    rows = released_lineage(store, release, columns=["task", "entity_type", "text"]).drop_nulls("text")
    return dict(rows.select("task", "entity_type").unique().sort("task").iter_rows())


def _vectors(store: Store, release: Release, tasks: Sequence[str], choice: FeatureChoice) -> Iterator[Source]:
    for name, made in release.vectors.items():
        column = column_name(name.task, name.encoder)
        wanted = choice.wants_column(column) or choice.wants_column(column_name(name.task, name.encoder, AGE))
        wanted |= choice.wants_column(column_name(name.task, AGE))
        if name.task not in tasks or not choice.wants_encoder(name.encoder) or not wanted:
            continue
        knowledge = released_knowledge(store, release, name.task, name.encoder)
        facts = {
            "meaning": f"vector of what {name.task} says of the row's {knowledge.entity}, by {name.encoder}",
            "task": name.task,
            "encoder": name.encoder,
            "entity": knowledge.entity,
            "fingerprint": made.fingerprint,
            "encoder_seen_until": None if made.seen_until is None else made.seen_until.isoformat(),
        }
        yield _source(str(name), knowledge, Column(column, knowledge.vectors, facts), choice)


def _codes(store: Store, release: Release, choice: FeatureChoice) -> Iterator[Source]:
    for name, said in release.facts.get(CODES_TABLE, {}).items():
        column = column_name(CODES_TABLE, name)
        made_from = [VectorName.read(one).task for one in said.get("made_from", {})]
        if said.get("entity", "item") not in BY_DEFAULT or not choice.wants_column(column):
            continue
        if choice.tasks is not None and not any(map(choice.wants_task, made_from)):
            continue
        codes = released_codes(store, release, name)
        facts = {
            "meaning": f"semantic id {name} of the row's {codes.entity}, from the coarsest code to the finest",
            "entity": codes.entity,
            "fingerprint": codes.made.fingerprint,
            "made_from": dict(codes.made.made_from),
            "seen_until": said.get("seen_until"),
        }
        knowledge = codes.knowledge()
        yield _source(f"{CODES_TABLE}/{name}", knowledge, Column(column, knowledge.vectors, facts), choice)


def _source(name: str, knowledge: Knowledge, column: Column, choice: FeatureChoice) -> Source:
    known = knowledge.as_of
    if knowledge.entity == "event" and knowledge.seen_until is not None:  # their rows keep the event's own time
        known = np.maximum(known, knowledge.seen_until)
    columns = (column,) if choice.wants_column(column.name) else ()
    return Source(name, knowledge.entity, knowledge.entities, known.astype("datetime64[us]").astype(np.int64), columns)


def _with_ages(sources: Sequence[Source], choice: FeatureChoice) -> Iterator[Source]:
    """Add an age to every source whose rows have one; once for sources of a technique that share it."""
    seen: dict[str, list[np.ndarray]] = {}
    for source in sources:
        task, _, encoder = source.name.partition("/")
        before = seen.setdefault(task, [])
        shared = any(np.array_equal(source.known, known) for known in before)
        name = column_name(task, *((encoder or "answer",) if before or task == CODES_TABLE else ()), AGE)
        if shared or not source.known.any() or not choice.wants_column(name):
            yield source
            continue
        before.append(source.known)
        yield replace(source, age=name)


def half(source: Source) -> Source:
    """Return a source with its vectors in half precision."""
    return replace(source, columns=tuple(_half(column) for column in source.columns))


def _half(column: Column) -> Column:
    values = column.values
    if isinstance(values, pl.Series) or values.dtype != np.float32:
        return column
    return replace(column, values=values.astype(np.float16))


def indexed(source: Source) -> Source:
    """Return a source whose rows hold the number of their vector instead of the vector."""
    return replace(source, columns=tuple(_indexed(column) for column in source.columns))


def _indexed(column: Column) -> Column:
    if isinstance(column.values, pl.Series):
        return column
    meaning = f"row of the table {column.name}.parquet that holds the {column.facts['meaning']}"
    numbers = pl.Series(np.arange(len(column.values), dtype=np.int32))
    return Column(f"{column.name}_row", numbers, {**column.facts, "meaning": meaning, "table": column.name})
