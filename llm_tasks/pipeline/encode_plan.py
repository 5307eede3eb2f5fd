"""Count the texts that a refresh would encode, from its plan; no model is loaded and nothing is written."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from encoders.protocol import Encoder, EncoderConfig
from feature_store.database import Store
from feature_store.lineage import VectorName, read_lineage
from feature_store.vectors import known_vectors, text_key
from llm_tasks.pipeline.encode import ready_encoder
from llm_tasks.pipeline.plan import TaskPlan
from llm_tasks.pipeline.rows import parts_of

FRESH = ("new", "changed")
"""Statuses of rows that get a new text."""


@dataclass(frozen=True)
class ToEncode:
    """What one encoder would do for one technique, or for one part of its answers."""

    task: str
    """Name of the technique, or TECHNIQUE.PART."""
    encoder: str
    """Name of the encoder."""
    texts: int
    """Number of texts without a vector; every row to ask is counted as one new text."""


def texts_to_encode(
    plan: TaskPlan,
    encoders: Mapping[str, EncoderConfig],
    store: Store,
    folder: Path | None = None,
    folders: Sequence[Path] = (),
    *,
    retry: bool = False,
) -> list[ToEncode]:
    """Count the texts of a planned technique that have no vector yet, for each of its encoders.

    Args:
        plan: A plan of `plan_task`.
        encoders: Encoder name -> config.
        store: The store.
        folder: Base of relative paths; the folder of knowflow.yaml.
        folders: Folders of a team's own plug-ins.
        retry: Whether the plan holds only rows to be asked again; the others stay as they are.

    Raises:
        WrongUse: An encoder cannot be used.
    """
    of_each = {plan.task.name: _keys(plan, store, retry)} | {
        name: _part_keys(plan, name, store) for name in parts_of(plan.task)
    }
    space = plan.task.lexical_space
    fitted_on = of_each.get(space)
    if fitted_on is None:  # another technique's texts
        fitted_on = set(read_lineage(store, [space], ["text_key"])["text_key"].drop_nulls())
    found = list[ToEncode]()
    for name, config in encoders.items():
        encoder = ready_encoder(name, config, space, fitted_on, store, folder, folders)
        for whose, keys in of_each.items():
            found.append(ToEncode(whose, name, len(keys - _known(store, VectorName(whose, name), encoder))))
    return found


def _known(store: Store, name: VectorName, encoder: Encoder | None) -> set[str]:
    """Return the keys of the texts that have a vector; none of an encoder that would be fitted first."""
    return set() if encoder is None else {*known_vectors(store, name, encoder.dimension, encoder.fingerprint)}


def _keys(plan: TaskPlan, store: Store, retry: bool) -> set[str]:
    """Return the keys of a technique's texts after the refresh; a text that is not written yet has its row's key."""
    rows = read_lineage(store, [plan.task.name], ["row", "text_key"]).drop_nulls()
    stored = dict(rows.iter_rows())
    stay = rows if retry else rows.filter(pl.col("row").hash(0).is_in(plan.settled["row"].implode()))
    keys = set(stay["text_key"])
    for row in plan.rows:
        if row.text is not None:
            keys.add(text_key(row.text))
        elif row.status in FRESH:
            keys.add(row.row)
        elif row.row in stored or row.status == "cached":  # a failed row keeps the text of an earlier answer
            keys.add(stored.get(row.row, row.row))
    return keys


def _part_keys(plan: TaskPlan, part: str, store: Store) -> set[str]:
    """Return the same of a part of its answers; a row to ask counts as one text."""
    fresh = {row.row for row in plan.rows if row.status in FRESH}
    return set(_stored(store, part).values()) | fresh


def _stored(store: Store, name: str) -> dict[str, str]:
    return dict(read_lineage(store, [name], ["row", "text_key"]).drop_nulls().iter_rows())
