"""Samples: all model inputs as arrays in memory, built once from a dataset, its split and its histories."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import polars as pl

from ctr.history import Histories, histories_of
from ctr.scale import scale_of, standardise, standardised_columns
from ctr.statistics import COLUMNS, Counted, Log
from sources.events import PARTS, chosen
from sources.faults import Fault, SourceFaults
from sources.negatives import positives_of, trained_rows
from sources.tables import Dataset


@dataclass(frozen=True)
class Samples:
    """One row per event, in the order of the dataset's events, then one per sampled negative.

    N rows, I items, U users, H history length.
    """

    user: np.ndarray
    """[N] int64, index into `user_ids`."""
    item: np.ndarray
    """[N] int64, index into `item_ids`."""
    time: np.ndarray
    """[N] datetime64[us], UTC."""
    rating: np.ndarray
    """[N] float32: the rating, or the label if the data has no ratings."""
    label: np.ndarray
    """[N] float32, 0 or 1."""
    part: np.ndarray
    """[N] int8, index into `PARTS`; -1 for rows in no part, later than all."""
    history: np.ndarray | Histories
    """[N, H] int32: rows of the same user's strictly earlier events, the newest last, -1 = none; of a large log found
    when asked for."""
    statistics: np.ndarray
    """[N, F] float32: leak-free statistics, standardised by strictly earlier rows."""
    user_mean: np.ndarray
    """[N] float32: the user's shrunk mean rating over strictly earlier events."""
    surprise: np.ndarray
    """[N] float32: the rating minus the item's earlier mean; only for later rows, because it uses the row's rating."""
    item_categories: np.ndarray
    """[I, C] float32: each item's categories as shares that sum to 1 within a field (0 if it has none)."""
    item_numbers: np.ndarray
    """[I, M] float32: the items' numbers, standardised over all items, 0 where unknown."""
    user_ids: np.ndarray
    """[U] str."""
    item_ids: np.ndarray
    """[I] str, in the order of the dataset's items."""
    category_spans: tuple[tuple[int, int], ...] = ()
    """First and last column (exclusive) of each category field in `item_categories`."""
    category_values: tuple[tuple[str, ...], ...] = ()
    """The values of each category field, in the order of its columns."""
    number_scale: tuple[tuple[float, float], ...] = ()
    """Mean and deviation that standardise each of the items' numbers."""
    chosen: np.ndarray | None = None
    """[N] bool: the events that were rated or chosen, see `sources.events.chosen`; None = all."""
    sampled: np.ndarray | None = None
    """[N] bool: sampled negatives, which are rows to train on and to judge by, but no events; None = none."""
    rated: np.ndarray | None = None
    """[N] bool: rows with a rating of their own; the others have their label as `rating`; None = all."""

    @property
    def happened(self) -> np.ndarray:
        """Return which rows are events: [N] bool."""
        return np.ones(len(self.label), dtype=bool) if self.sampled is None else ~self.sampled


@dataclass(frozen=True)
class Frame:
    """The meaning of codes and columns. A kept model reads new rows in the frame of its training."""

    user_ids: tuple[str, ...]
    """The users, by code; new users get codes after them."""
    item_ids: tuple[str, ...]
    """The items, by code; new items get codes after them."""
    category_values: tuple[tuple[str, ...], ...]
    """The values of each category field, by column; other values are left out."""
    number_scale: tuple[tuple[float, float], ...]
    """Mean and deviation that standardise each of the items' numbers."""

    @classmethod
    def of(cls, samples: Samples) -> "Frame":
        """Return the frame of some samples."""
        users, items = tuple(samples.user_ids.tolist()), tuple(samples.item_ids.tolist())
        return cls(users, items, samples.category_values, samples.number_scale)


def build_samples(
    dataset: Dataset, histories: np.ndarray | int, frame: Frame | None = None, asked: pl.DataFrame | None = None
) -> Samples:
    """Turn a dataset into the arrays that models read.

    Args:
        dataset: Events sorted by time, each with its part, and items.
        histories: [N, H] rows of the same user's strictly earlier events, the newest last, -1 = none; then those of
            the asked rows. Or their length H, to find them here.
        frame: The meaning of codes and columns; if None, taken from the dataset.
        asked: Rows to score, with the columns of the events: they did not happen, so no other row sees them.

    Returns:
        The samples: first the events, aligned with `dataset.events`, then its sampled negatives, then the asked rows.

    Raises:
        SourceFaults: The split leaves no event for training.
    """
    events, parts, rows = _all_rows(dataset, asked)
    sampled = np.arange(len(rows)) >= len(dataset.events)
    users, found = (ids.to_numpy().astype(str) for ids in (events["user"].unique().sort(), dataset.items["item"]))
    user_ids = _extended(frame.user_ids if frame else (), users)
    item_ids = _extended(frame.item_ids if frame else (), found)
    items = pl.DataFrame({"item": item_ids}).join(dataset.items, on="item", how="left", maintain_order="left")
    user, item = codes_of(events["user"], user_ids), codes_of(events["item"], item_ids)
    label = events["label"].to_numpy().astype(np.float32)
    rating = events["rating"].cast(pl.Float32).fill_null(float("nan")).to_numpy()
    rated = ~np.isnan(rating)
    rating = np.where(rated, rating, label).astype(np.float32)
    time = events["time"].dt.replace_time_zone(None).to_numpy().astype("datetime64[us]")
    part = _part_codes(parts)[rows]
    values = frame.category_values if frame else category_values(items, dataset.category_fields)
    item_categories, spans = category_shares(items, dataset.category_fields, values)
    fields = dataset.number_fields  # without any, Polars returns no rows
    numbers = items.select(fields).to_numpy() if fields else np.zeros((len(item_ids), 0))
    scale = frame.number_scale if frame else scale_of(numbers)
    taste = chosen(events)
    del dataset, events, parts, asked  # a large log's tables, which nothing below reads
    if isinstance(histories, int):
        history = histories_of(user, time, ~sampled, histories)
    else:
        history = np.asarray(histories, dtype=np.int32)[rows]
    del rows
    log = Log(user, item, time, rating, label, ~sampled)
    counted = Counted.of(log, item_categories)
    return Samples(
        user=user,
        item=item,
        time=time,
        rating=rating,
        label=label,
        part=part,
        history=history,
        statistics=standardised_columns(counted.columns, COLUMNS, time, ~sampled),
        user_mean=np.nan_to_num(counted.user_mean).astype(np.float32),
        surprise=counted.surprise.astype(np.float32),
        item_categories=item_categories,
        item_numbers=standardise(numbers, scale),
        user_ids=user_ids,
        item_ids=item_ids,
        category_spans=spans,
        category_values=values,
        number_scale=scale,
        chosen=taste,
        sampled=sampled,
        rated=rated,
    )


def _part_codes(parts: pl.Series) -> np.ndarray:
    """Return the parts as places in PARTS: [M] int8.

    Raises:
        SourceFaults: None is for training.
    """
    codes = codes_of(parts, np.array(PARTS)).astype(np.int8)
    if not (codes == PARTS.index("train")).any():
        what, fix = "leaves no event for training", "give training a larger share, or split by: global_time"
        raise SourceFaults([Fault("knowflow.yaml", None, "split", None, what, fix)])
    return codes


def _all_rows(dataset: Dataset, asked: pl.DataFrame | None) -> tuple[pl.DataFrame, pl.Series, np.ndarray]:
    """Return the rows of all samples; the parts of events and asked rows; and to which of these each sample belongs."""
    own = np.arange(len(dataset.events))
    rows = np.concatenate([own, positives_of(dataset)])  # a negative has its positive's past and part
    events, parts = trained_rows(dataset), dataset.events["part"]
    if asked is None:
        return events, parts, rows
    rows = np.concatenate([rows, len(own) + np.arange(len(asked))])
    return pl.concat([events, asked.select(events.columns)]), pl.concat([parts, asked["part"]]), rows


def _extended(known: Sequence[str], found: np.ndarray) -> np.ndarray:
    """Return the known ids, then the others that were found, in order."""
    before = np.array(known, dtype=str)
    return np.concatenate([before, found[~np.isin(found, before)]]) if len(before) else found


def codes_of(values: np.ndarray | pl.Series, ids: np.ndarray) -> np.ndarray:
    """Return each value's index in `ids`, -1 if it is missing.

    Args:
        values: [N] str; a long column is faster as Polars' own, without Python's text of every value.
        ids: [M] str, distinct.

    Returns:
        [N] int64.
    """
    known = pl.DataFrame({"id": ids}, schema={"id": pl.String}).with_row_index("code")
    asked = pl.DataFrame({"id": values}, schema={"id": pl.String})
    found = asked.join(known, on="id", how="left", maintain_order="left")
    return found["code"].cast(pl.Int64).fill_null(-1).to_numpy(writable=True)


def category_values(items: pl.DataFrame, fields: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """Return the values of each category field, in alphabetical order."""
    return tuple(
        tuple(np.unique(items[field].explode().drop_nulls().to_numpy().astype(str)).tolist()) for field in fields
    )


def category_shares(
    items: pl.DataFrame, fields: Sequence[str], values: Sequence[Sequence[str]]
) -> tuple[np.ndarray, tuple[tuple[int, int], ...]]:
    """Lay out the items' categories as one dense table.

    Args:
        items: One row per item, the fields as lists of strings.
        fields: Names of the category fields.
        values: The values of each field, by column; others are left out.

    Returns:
        [I, C] float32, the fields' values one after the other; an item's entries of one field sum to 1. And the
        first and last column (exclusive) of each field.
    """
    blocks = [np.zeros((len(items), 0), dtype=np.float32)]
    for field, names in zip(fields, values, strict=True):
        # Rename both columns, because a user's field can have any name.
        pairs = items.select(row=pl.int_range(pl.len()), category=pl.col(field)).explode("category").drop_nulls()
        column = codes_of(pairs["category"].to_numpy().astype(str), np.array(names, dtype=str))
        block = np.zeros((len(items), len(names)), dtype=np.float32)
        block[pairs["row"].to_numpy()[column >= 0], column[column >= 0]] = 1
        blocks.append(block / np.maximum(block.sum(1, keepdims=True), 1))
    ends = np.cumsum([block.shape[1] for block in blocks]).tolist()
    return np.concatenate(blocks, axis=1), tuple(pairwise(ends))
