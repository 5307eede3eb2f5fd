"""Scores pairs of a user and an item that nobody has rated yet, or that a log holds, with a kept model.

A pair to score is a row that did not happen: it reads the events and the vectors that are strictly earlier than it,
and no other row reads it, so any number of pairs can be scored together. A pair without a time is live: it comes after
everything that the log and the release hold.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from app.config import Config
from app.samples import read_vectors_of
from app.workplace import open_dataset, open_store
from base.faults import WrongUse
from ctr.kept import Kept, score_rows
from ctr.pairs import pair_samples
from feature_store.lineage import VectorName
from feature_store.release_record import Release
from feature_store.releases import get_release
from llm_tasks.pipeline.arm import CODES
from sources.tables import Dataset
from sources.times import MICROSECONDS, to_time


@dataclass(frozen=True)
class PairColumns:
    """Names of the columns of the rows to score."""

    user: str = "user"
    """The user's id."""
    item: str = "item"
    """The item's id."""
    time: str = "time"
    """The moment; the column may be missing, and null is live."""


COLUMNS = PairColumns()


def score_pairs(
    config: Config, model: Kept, frame: pl.DataFrame, release: str | None = None, columns: PairColumns = COLUMNS
) -> pl.DataFrame:
    """Score pairs of a user and an item; unknown ones are allowed.

    Args:
        config: The config.
        model: From `app.kept_models.find_model`.
        frame: The pairs: user, item and time, and any other columns.
        release: Name of the release whose vectors to read; None for the one that the model was trained on.
        columns: Names of the columns.

    Returns:
        The frame with the column `score` (Float32): the probability of a click.

    Raises:
        NoRelease: There is no such release.
        WrongUse: The rows, the data or the release lack something that the model reads; the text lists all of it.
    """
    dataset, store = open_dataset(config), open_store(config)
    chosen = get_release(store, release or model.release)
    pairs, faults = read_pairs(frame, columns)
    check_model(model, dataset, chosen, faults)
    vectors = read_vectors_of(config, chosen, [model.arm])
    samples = pair_samples(dataset, pairs, model, vectors)
    rows = np.arange(len(samples.label) - len(pairs), len(samples.label))
    scores = score_rows(model, vectors, samples, rows, config.plugin_folders)
    return frame.with_columns(score=pl.Series(scores, dtype=pl.Float32))


Found = tuple[str, str, str]
"""What lacks something, what is wrong, and how to fix it."""


def read_pairs(frame: pl.DataFrame, columns: PairColumns = COLUMNS) -> tuple[pl.DataFrame, list[Found]]:
    """Read the rows to score.

    Args:
        frame: The rows.
        columns: Names of the columns.

    Returns:
        user, item (String) and time (Datetime us UTC, null = live), and what is wrong.
    """
    faults: list[Found] = []
    read: dict[str, pl.Series] = {}
    for role in ("user", "item"):
        name = getattr(columns, role)
        if name not in frame.columns:
            there = ", ".join(frame.columns)
            faults.append((f"column {name}", f"is missing; there are: {there}", f"name it: --{role}-column NAME"))
            continue
        read[role] = frame[name].cast(pl.String)
        if empty := read[role].null_count():
            faults.append((f"column {name}", f"is empty in {empty:,} of {len(frame):,} rows", "leave these rows out"))
    read["time"] = pl.Series([None], dtype=MICROSECONDS).new_from_index(0, len(frame))
    if columns.time in frame.columns and frame[columns.time].dtype != pl.Null:
        read["time"], wrong = to_time(frame[columns.time])
        if count := int(wrong.sum()):
            first = frame[columns.time].filter(wrong)[0]
            what = f"is not a time in {count:,} of {len(frame):,} rows, such as {first!r}"
            faults.append((f"column {columns.time}", what, "write it as 2026-11-30T12:00:00, or leave it empty: live"))
    return (pl.DataFrame() if faults else pl.DataFrame(read)), faults


def check_model(model: Kept, dataset: Dataset, release: Release, faults: Sequence[Found] = ()) -> None:
    """Check that the data and a release hold all that a model reads.

    Args:
        model: The model.
        dataset: The data.
        release: The release.
        faults: What has been found before.

    Raises:
        WrongUse: With these faults and all others.
    """
    found = [*faults, *lacking_fields(model, dataset), *lacking_vectors(model, release)]
    if found:
        raise WrongUse(told(found))


def lacking_fields(model: Kept, dataset: Dataset) -> list[Found]:
    """List the items' fields that a model reads and the data lacks."""
    fix = "map the items' fields in knowflow.yaml as they were, or train again: knowflow train"
    if model.fields is None:
        lengths = ("category", model.frame.category_values, dataset.category_fields)
        pairs = (lengths, ("number", model.frame.number_scale, dataset.number_fields))
        return [
            (f"{kind} fields of items", f"are {len(there)}; the model was trained with {len(known)}", fix)
            for kind, known, there in pairs
            if len(known) != len(there)
        ]
    wanted = (("category", model.fields.categories), ("number", model.fields.numbers))
    there = {"category": dataset.category_fields, "number": dataset.number_fields}
    return [
        (f"{kind} field {name} of items", "is not in the data", fix)
        for kind, names in wanted
        for name in names
        if name not in there[kind]
    ]


def lacking_vectors(model: Kept, release: Release) -> list[Found]:
    """List the vectors and sets of codes that a model reads and a release lacks."""
    there, codes = set(map(str, release.vectors)), release.facts.get(CODES, {})
    lacking = [(f"vectors {name}", VectorName.read(name).technique) for name in model.arm.vectors if name not in there]
    return [
        *((what, f"are not in {release.name}", f"make them: knowflow refresh --task {task}") for what, task in lacking),
        *(
            (f"codes {name}", f"are not in {release.name}", f"make them: knowflow codes {name} --vectors TASK/ENCODER")
            for name in model.arm.codes
            if name not in codes
        ),
    ]


def told(faults: Sequence[Found]) -> str:
    """Say what is missing, all at once, and how to fix it."""
    wide = max(len(where) for where, _, _ in faults)
    lines = [f"{len(faults)} thing{'s are' if len(faults) > 1 else ' is'} missing or wrong, nothing was scored"]
    lines += [f"  {where.ljust(wide)}  {what}" for where, what, _ in faults]
    lines += [f"  fix: {fix}" for fix in dict.fromkeys(fix for _, _, fix in faults)]
    return "\n".join(lines)
