"""Samples: everything a model reads, as arrays in memory, built once from a dataset, its split and its histories."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import polars as pl

from ctr.earlier import strictly_earlier
from ctr.statistics import Log, count_statistics
from sources.faults import Fault, SourceFaults
from sources.tables import Dataset

PARTS = ("train", "validation", "test")
LEAST_DEVIATION = 1e-6
"""Below it a column is taken to be constant."""
FARTHEST = 5.0
"""Deviations from the mean beyond which a statistic is cut off."""


@dataclass(frozen=True)
class Samples:
    """One row an event, in the order of the dataset's events; N events, I items, U users, H history length."""

    user: np.ndarray
    """[N] int64, index into `user_ids`."""
    item: np.ndarray
    """[N] int64, index into `item_ids`."""
    time: np.ndarray
    """[N] datetime64[us], UTC."""
    rating: np.ndarray
    """[N] float32: the rating, or the label where the data has no ratings."""
    label: np.ndarray
    """[N] float32, 0 or 1."""
    part: np.ndarray
    """[N] int8, index into `PARTS`; -1 for rows of none, later than all."""
    history: np.ndarray
    """[N, H] int32: rows of the same user's strictly earlier events, the newest last, -1 = none."""
    statistics: np.ndarray
    """[N, F] float32: leak-free statistics, standardised by strictly earlier rows."""
    user_mean: np.ndarray
    """[N] float32: the user's shrunk mean rating over strictly earlier events."""
    surprise: np.ndarray
    """[N] float32: the rating minus what the item got before; for later rows alone, since it holds the own rating."""
    item_categories: np.ndarray
    """[I, C] float32: each item's categories as shares that sum to 1 within a field (0 where it has none)."""
    item_numbers: np.ndarray
    """[I, M] float32: the items' numbers, standardised over all items, 0 where unknown."""
    user_ids: np.ndarray
    """[U] str."""
    item_ids: np.ndarray
    """[I] str, in the order of the dataset's items."""
    category_spans: tuple[tuple[int, int], ...] = ()
    """First and last column (exclusive) of each category field in `item_categories`."""


def build_samples(dataset: Dataset, histories: np.ndarray) -> Samples:
    """Turn a dataset into the arrays that models read.

    Args:
        dataset: Events sorted by time, each with its part, and items.
        histories: [N, H] rows of the same user's strictly earlier events, the newest last, -1 = none.

    Returns:
        The samples, aligned with `dataset.events`.

    Raises:
        SourceFaults: The split leaves no event for training.
    """
    events = dataset.events
    user_ids, user = np.unique(events["user"].to_numpy().astype(str), return_inverse=True)
    item_ids = dataset.items["item"].to_numpy().astype(str)
    item = codes_of(events["item"].to_numpy().astype(str), item_ids)
    label = events["label"].to_numpy().astype(np.float32)
    rating = events["rating"].cast(pl.Float32).fill_null(float("nan")).to_numpy()
    rating = np.where(np.isnan(rating), label, rating).astype(np.float32)
    time = events["time"].dt.replace_time_zone(None).to_numpy().astype("datetime64[us]")
    part = codes_of(events["part"].to_numpy().astype(str), np.array(PARTS)).astype(np.int8)
    train = part == 0
    if not train.any():
        what, mend = "leaves no event for training", "give training a larger share, or split by: global_time"
        raise SourceFaults([Fault("knowflow.yaml", None, "split", None, what, mend)])
    item_categories, spans = category_shares(dataset.items, dataset.category_fields)
    log = Log(user, item, time, rating.astype(np.float64), label.astype(np.float64))
    counted = count_statistics(log, item_categories)
    numbers = np.zeros((len(item_ids), 0))  # Polars gives no row at all without a column
    if dataset.number_fields:
        numbers = dataset.items.select(dataset.number_fields).to_numpy()
    return Samples(
        user=user.astype(np.int64),
        item=item,
        time=time,
        rating=rating,
        label=label,
        part=part,
        history=np.asarray(histories, dtype=np.int32),
        statistics=standardise_by_past(counted.values, time),
        user_mean=np.nan_to_num(counted.user_mean).astype(np.float32),
        surprise=counted.surprise.astype(np.float32),
        item_categories=item_categories,
        item_numbers=standardise(numbers, numbers),
        user_ids=user_ids,
        item_ids=item_ids,
        category_spans=spans,
    )


def codes_of(values: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """Give each value its index in `ids`, -1 where it is not there.

    Args:
        values: [N] str.
        ids: [M] str, distinct.

    Returns:
        [N] int64.
    """
    if len(ids) == 0:
        return np.full(len(values), -1, dtype=np.int64)
    order = np.argsort(ids, kind="stable")
    place = np.minimum(np.searchsorted(ids[order], values), len(ids) - 1)
    return np.where(ids[order][place] == values, order[place], -1).astype(np.int64)


def category_shares(items: pl.DataFrame, fields: Sequence[str]) -> tuple[np.ndarray, tuple[tuple[int, int], ...]]:
    """Lay out the items' categories as one dense table.

    Args:
        items: One row an item, the fields as lists of strings.
        fields: Names of the category fields.

    Returns:
        [I, C] float32, every field's categories in alphabetical order; an item's entries of one field sum to 1. And the
        first and last column (exclusive) of each field.
    """
    blocks = [np.zeros((len(items), 0), dtype=np.float32)]
    for field in fields:
        # Both columns are named here, for a user may call a field anything.
        pairs = items.select(row=pl.int_range(pl.len()), category=pl.col(field)).explode("category").drop_nulls()
        names, column = np.unique(pairs["category"].to_numpy().astype(str), return_inverse=True)
        block = np.zeros((len(items), len(names)), dtype=np.float32)
        block[pairs["row"].to_numpy(), column] = 1
        blocks.append(block / np.maximum(block.sum(1, keepdims=True), 1))
    ends = np.cumsum([block.shape[1] for block in blocks]).tolist()
    return np.concatenate(blocks, axis=1), tuple(pairwise(ends))


def standardise(values: np.ndarray, fitted_on: np.ndarray) -> np.ndarray:
    """Shift and scale columns to mean 0 and deviation 1; what is unknown (NaN) becomes 0.

    Args:
        values: [N, F].
        fitted_on: [T, F], the rows from which mean and deviation are taken.

    Returns:
        [N, F] float32.
    """
    if values.shape[1] == 0 or len(fitted_on) == 0:
        return np.nan_to_num(values).astype(np.float32)
    known = ~np.isnan(fitted_on)
    number = np.maximum(known.sum(axis=0), 1)
    mean = np.where(known, fitted_on, 0).sum(axis=0, dtype=np.float64) / number
    deviation = np.sqrt(np.where(known, np.square(fitted_on - mean), 0).sum(axis=0, dtype=np.float64) / number)
    return np.nan_to_num((values - mean) / np.where(deviation > 1e-8, deviation, 1)).astype(np.float32)


def standardise_by_past(values: np.ndarray, time: np.ndarray) -> np.ndarray:
    """Shift and scale each row by mean and deviation of strictly earlier rows; what is unknown (NaN) becomes 0.

    Statistics are made of labels, and so would a scale be that is taken from later rows.

    Args:
        values: [N, F].
        time: [N] datetime64[us].

    Returns:
        [N, F] float32, at most 5 in size: the first rows have little to be compared with.
    """
    everybody = strictly_earlier(np.zeros(len(time), dtype=np.int64), time)
    out = np.zeros(values.shape, dtype=np.float32)
    for place, column in enumerate(values.T):
        known, filled = ~np.isnan(column), np.nan_to_num(column)
        number = np.maximum(everybody.total(known.astype(np.float64)), 1)
        mean = everybody.total(filled) / number
        deviation = np.sqrt(np.maximum(everybody.total(np.square(filled)) / number - np.square(mean), 0))
        scaled = (filled - mean) / np.where(deviation > LEAST_DEVIATION, deviation, 1)
        out[:, place] = np.where(known, np.clip(scaled, -FARTHEST, FARTHEST), 0)
    return out
