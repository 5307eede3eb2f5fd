"""Scores pairs of a user and an item that nobody has rated yet, or that a log holds, with a kept model.

A pair to score is a row that did not happen: it reads the events and the vectors that are strictly earlier than it,
and no other row reads it, so any number of pairs can be scored together. A pair without a time is live: it comes after
everything that the log and the release hold.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import islice

import numpy as np
import polars as pl

from app.config import Config
from app.given_rows import MOST, RowColumns, find_columns, warn_undated
from app.samples import read_vectors_of
from app.workplace import open_dataset, open_store
from base.faults import WrongUse
from ctr.kept import Kept, score_rows
from ctr.pairs import pair_samples
from feature_store.lineage import VectorName
from feature_store.release_record import Release
from feature_store.releases import get_release
from feature_store.timeline import LIVE
from llm_tasks.pipeline.arm import CODES
from sources.faults import Fault, faults_text
from sources.tables import Dataset
from sources.times import MICROSECONDS

SCORE = "score"
"""The column that is added."""
FRAME = "rows"
"""What a frame is called in messages."""
USUAL = RowColumns()


def score_pairs(
    config: Config, model: Kept, frame: pl.DataFrame, release: str | None = None, columns: RowColumns = USUAL
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
    pairs, faults = read_pairs(config, frame, columns)
    check_model(model, dataset, chosen, faults)
    vectors = read_vectors_of(config, chosen, [model.arm])
    samples = pair_samples(dataset, pairs, model, vectors)
    rows = np.arange(len(samples.label) - len(pairs), len(samples.label))
    scores = score_rows(model, vectors, samples, rows, config.plugin_folders)
    return frame.with_columns(pl.Series(SCORE, scores, dtype=pl.Float32))


def score_frame(
    config: Config, model: Kept, frame: pl.DataFrame, release: str | None, columns: RowColumns
) -> pl.DataFrame:
    """Do what `score_pairs` does, for Python: warn where the rows have no column of times."""
    scored = score_pairs(config, model, frame, release, columns)
    warn_undated(find_columns(config, columns, frame.clear(), ("user", "item"), [], FRAME)[0], frame)
    return scored


def count_live(config: Config, frame: pl.DataFrame, columns: RowColumns = USUAL) -> int:
    """Count the rows to score that have no time, and so come after everything; 0 if something is wrong with them."""
    pairs, faults = read_pairs(config, frame, columns)
    return 0 if faults else pairs["time"].null_count()


def read_pairs(config: Config, frame: pl.DataFrame, columns: RowColumns) -> tuple[pl.DataFrame, list[Fault]]:
    """Read the rows to score.

    Args:
        config: The config.
        frame: The rows.
        columns: Names of the columns.

    Returns:
        user, item (String) and time (Datetime us UTC, null = live), and what is wrong.
    """
    reader, faults = find_columns(config, columns, frame.clear(), ("user", "item"), [SCORE], FRAME)
    wrong = {fault.column for fault in faults}
    sound = {role: name for role, name in reader.columns.items() if name not in wrong}
    faults += islice(replace(reader, columns=sound).faults(frame, FRAME, 1), MOST)
    there = {role: name for role, name in reader.columns.items() if role != "time"}
    for name in there.values():
        if empty := frame[name].null_count():
            what = f"is empty in {empty:,} of {len(frame):,} rows"
            faults.append(Fault(FRAME, None, name, None, what, "leave these rows out"))
    if faults:
        return pl.DataFrame(), faults
    keys = reader.keys(frame)
    time = pl.Series(keys.time).set(pl.Series(keys.time == LIVE), None).cast(MICROSECONDS)
    return pl.DataFrame({"user": keys.user, "item": keys.item, "time": time}), []


def check_model(
    model: Kept, dataset: Dataset, release: Release, faults: Sequence[Fault] = (), end: str = "nothing was scored"
) -> None:
    """Check that the data and a release hold all that a model reads.

    Args:
        model: The model.
        dataset: The data.
        release: The release.
        faults: What has been found before.
        end: What follows from a fault, for the message.

    Raises:
        WrongUse: With these faults and all others.
    """
    found = [*faults, *lacking_fields(model, dataset), *lacking_vectors(model, release)]
    if found:
        raise WrongUse(faults_text(found, end, skippable=False))


def lacking_fields(model: Kept, dataset: Dataset) -> list[Fault]:
    """List the items' fields that a model reads and the data lacks."""
    fix = "map the items' fields in knowflow.yaml as they were, or train again: knowflow train"
    there = {"category": dataset.category_fields, "number": dataset.number_fields}
    if model.fields is None:
        known = {"category": model.frame.category_values, "number": model.frame.number_scale}
        return [
            _lacking("items", f"have {len(there[kind])} {kind} fields; the model was trained with {len(of)}", fix)
            for kind, of in known.items()
            if len(of) != len(there[kind])
        ]
    wanted = {"category": model.fields.categories, "number": model.fields.numbers}
    return [
        _lacking("items", f"the {kind} field {name} is not in the data", fix)
        for kind, names in wanted.items()
        for name in names
        if name not in there[kind]
    ]


def lacking_vectors(model: Kept, release: Release) -> list[Fault]:
    """List the vectors and sets of codes that a model reads and a release lacks."""
    there, codes = set(map(str, release.vectors)), release.facts.get(CODES, {})
    refresh, make = "make them: knowflow refresh --task {}", "make them: knowflow codes {} --vectors TASK/ENCODER"
    vectors = [name for name in model.arm.vectors if name not in there]
    return [
        *(
            _lacking(release.name, f"lacks vectors {of}", refresh.format(VectorName.read(of).technique))
            for of in vectors
        ),
        *(_lacking(release.name, f"lacks codes {of}", make.format(of)) for of in model.arm.codes if of not in codes),
    ]


def _lacking(where: str, what: str, fix: str) -> Fault:
    return Fault(where, None, None, None, what, fix)
