"""Pairs to score: rows that did not happen, after the events of a log.

A pair reads what is strictly earlier than it, and no other row reads it, so any number of pairs can be scored together.
A pair without a time is live: it comes after everything that the log and the vectors hold.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import polars as pl

from ctr.kept import ItemFields, Kept
from ctr.samples import Samples, build_samples
from feature_store.vectors import Knowledge
from sources.events import histories
from sources.tables import Dataset
from sources.times import MICROSECONDS

MOMENT = np.timedelta64(1, "us")


def after_everything(dataset: Dataset, vectors: Mapping[str, Knowledge]) -> np.datetime64:
    """Return the first moment after all events and all knowledge, at which live rows are scored."""
    log = dataset.events["time"].dt.replace_time_zone(None).to_numpy().astype("datetime64[us]")
    return np.concatenate([log, *(one.as_of for one in vectors.values())]).max() + MOMENT


def pair_samples(dataset: Dataset, pairs: pl.DataFrame, model: Kept, vectors: Mapping[str, Knowledge]) -> Samples:
    """Build the samples of a log and, after them, of pairs that did not happen.

    Args:
        dataset: The log.
        pairs: user, item (String), time (Datetime us UTC, null = live).
        model: Its frame gives the codes and columns.
        vectors: What the model reads.
    """
    fields = model.fields or ItemFields.of(dataset)
    dataset = replace(dataset, sampled=None, category_fields=fields.categories, number_fields=fields.numbers)
    live = pl.lit(after_everything(dataset, vectors)).dt.replace_time_zone("UTC").cast(MICROSECONDS)
    known = pl.Series([*dataset.items["item"], *model.frame.item_ids], dtype=pl.String)
    new = pairs.select("item").unique(maintain_order=True).filter(~pl.col("item").is_in(known.implode()))
    items = pl.concat([dataset.items, new], how="diagonal")
    asked = pl.concat([dataset.events.clear(), pairs.with_columns(pl.col("time").fill_null(live))], how="diagonal")
    asked = asked.with_columns(pl.col("label").fill_null(0), pl.col("part").fill_null("none"))
    keys = ["user", "time"]
    both = pl.concat([dataset.events.select(keys), asked.select(keys)])
    past = histories(both, model.history_length, np.arange(len(both)) < len(dataset.events))
    return build_samples(replace(dataset, items=items), past, model.frame, asked)
