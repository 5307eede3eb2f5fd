"""What a sample at a moment would have seen of a user or an item: texts, with the prompts and answers behind them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import polars as pl

from base.faults import WrongUse
from feature_store.database import Store
from feature_store.release_record import Release
from feature_store.releases import released_answers, released_lineage


@dataclass(frozen=True)
class SeenVectors:
    """The vectors of a text from one encoder."""

    encoder: str
    """The encoder."""
    known_from: datetime | None
    """The newest event that the encoder was tuned on; None if it was tuned on none."""
    visible: bool
    """Whether the sample sees them: only if they were known before its moment."""


@dataclass(frozen=True)
class SeenText:
    """A text that the sample sees."""

    task: str
    """The technique, or TECHNIQUE.PART."""
    as_of: datetime
    """The newest event that the text may have seen; before the moment of the sample."""
    created_at: datetime
    """When the text was made."""
    text: str
    """The text that is encoded."""
    prompt: str | None
    """Name of the prompt; None if no model was asked."""
    model: str | None
    """Model, revision and adapter; None if no model was asked."""
    messages: tuple[Mapping[str, str], ...]
    """The prompt as the model got it; empty if no model was asked."""
    answer: str | None
    """The whole answer of the model; None if no model was asked."""
    vectors: tuple[SeenVectors, ...]
    """Its vectors, one entry per encoder of the release."""


@dataclass(frozen=True)
class Lookup:
    """Everything that a release holds of an entity at a moment."""

    texts: tuple[SeenText, ...]
    """What a sample sees, by technique."""
    later: Mapping[str, datetime]
    """Technique -> the moment from which on it knows something, if the sample was too early."""


def look_up(store: Store, release: Release, kind: str, entity: str, moment: datetime | None = None) -> Lookup:
    """Find what a sample at a moment sees: of each technique the newest row that was known strictly before.

    Args:
        store: The store.
        release: The release to read.
        kind: `user`, `item` or `query`.
        entity: Its id.
        moment: Time of the sample; None for one after all rows.

    Raises:
        WrongUse: The release holds no text about the entity.
    """
    rows = released_lineage(store, release).filter(pl.col("entity_type") == kind, pl.col("entity") == entity)
    rows = rows.drop_nulls("text").with_columns(known=pl.max_horizontal("as_of", "model_seen_until")).sort("row")
    if rows.is_empty():
        raise WrongUse(
            f"{release.name}: holds no text about the {kind} '{entity}'\n"
            f"  ids are as in the data; what would be asked about one: knowflow preview TASK --entity {entity}"
        )
    before = rows if moment is None else rows.filter(pl.col("known") < moment)
    newest = before.filter(pl.col("known") == pl.col("known").max().over("task"))
    keys = newest["answer_key"].drop_nulls().to_list()
    answers = released_answers(store, release, keys, ["key", "messages", "text"])
    said = {row["key"]: row for row in answers.iter_rows(named=True)}
    texts = tuple(_seen_text(row, said, release, moment) for row in newest.iter_rows(named=True))
    late = rows.join(newest, on="task", how="anti").group_by("task").agg(pl.col("known").min()).sort("task")
    return Lookup(texts, dict(late.iter_rows()))


def _seen_text(row: Mapping[str, Any], said: Mapping[str, Any], release: Release, moment: datetime | None) -> SeenText:
    answer = said.get(row["answer_key"])
    vectors = tuple(
        SeenVectors(name.encoder, made.seen_until, _before(made.seen_until, moment))
        for name, made in release.vectors.items()
        if name.task == row["task"]
    )
    messages = tuple(json.loads(answer["messages"])) if answer else ()
    return SeenText(
        task=row["task"],
        as_of=row["as_of"],
        created_at=row["created_at"],
        text=row["text"],
        prompt=row["prompt"],
        model=row["model"],
        messages=messages,
        answer=answer["text"] if answer else None,
        vectors=vectors,
    )


def _before(known: datetime | None, moment: datetime | None) -> bool:
    return known is None or moment is None or known.astimezone(UTC) < moment
