"""Sample negatives for a log of positives only: items that a user had no event with, as of each of their events.

Strictly as of the moment: a negative of an event at t is drawn from what is known at t. Events at or before t exclude
the user's own items; later ones do not, because a negative that the user never chooses would reveal the future. An
item that had no event of anybody strictly before t is not drawn.

Chance is a hash of the seed, the place of the event and the number of the draw: the same data gives the same negatives
in whatever order its file is, and events that are added later change none of the earlier ones.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl

from sources.label_config import NegativesConfig
from sources.tables import Dataset

DRAWS, DRAWS_EACH = 64, 4
"""Draws per positive by chance: at least, and for each negative wanted. Whatever is then still missing is drawn from a
list of all that may be drawn, which costs a pass over the items for each such event."""
GOLDEN = 0x9E3779B97F4A7C15
"""The step of splitmix64."""


def sample_negatives(events: pl.DataFrame, config: NegativesConfig) -> pl.DataFrame:
    """Draw negatives for each event.

    Args:
        events: Canonical events, sorted by (time, item, user), all positive.
        config: How many, and how they are drawn.

    Returns:
        The same columns: a row for each negative, like the row of its positive but for the item, the label (0) and the
        rating (null); in the order of the positives. An event with fewer items to draw from has fewer negatives.
    """
    drawn = _drawn(events, config)
    positive, place = np.nonzero(drawn >= 0)
    items = events["item"].unique().sort()
    item = items.gather(drawn[positive, place])
    label, rating = pl.lit(0, dtype=pl.Float32), pl.lit(None, dtype=pl.Float32)
    return events[positive].with_columns(item.alias("item"), label.alias("label"), rating.alias("rating"))


def positives_of(dataset: Dataset) -> np.ndarray:
    """Return the positive of each sampled negative: [M] int64, rows of `dataset.events`."""
    if dataset.sampled is None:
        return np.zeros(0, dtype=np.int64)
    keys = ["user", "position"]
    events = dataset.events.select(*keys, row=pl.int_range(pl.len(), dtype=pl.Int64))
    return dataset.sampled.select(keys).join(events, on=keys, how="left", maintain_order="left")["row"].to_numpy()


def trained_rows(dataset: Dataset) -> pl.DataFrame:
    """Return the rows that models are trained and judged on: all events, then the sampled negatives."""
    return dataset.events if dataset.sampled is None else pl.concat([dataset.events, dataset.sampled])


@dataclass(frozen=True)
class _Past:
    """What is known at the moment of each of N events; I items."""

    item: np.ndarray
    """[N] int64: codes of the events' items."""
    before: np.ndarray
    """[N] int64: events of anybody strictly before."""
    by_age: np.ndarray
    """[I] int64: items, those with the earliest first event first."""
    there: np.ndarray
    """[N] int64: how many of `by_age` had an event strictly before."""
    pairs: np.ndarray
    """[P] int64, rising: user * I + item of each user and item that met."""
    since: np.ndarray
    """[P] int64: the moment of their first event."""
    user: np.ndarray
    """[N] int64."""
    moment: np.ndarray
    """[N] int64, rising: the rank of the time."""
    free: np.ndarray
    """[N] int64: items that may be drawn."""

    def is_free(self, rows: np.ndarray, item: np.ndarray) -> np.ndarray:
        """Return whether the user had no event with the item until the event of the row: [n] bool."""
        key = self.user[rows] * len(self.by_age) + item
        place = np.minimum(np.searchsorted(self.pairs, key), len(self.pairs) - 1)
        return (self.pairs[place] != key) | (self.since[place] > self.moment[rows])


def _past_of(events: pl.DataFrame) -> _Past:
    user, item, moment = (events[name].rank("dense").cast(pl.Int64).to_numpy() - 1 for name in ("user", "item", "time"))
    items, size = int(item.max(initial=-1)) + 1, len(events)
    born = np.full(items, size, dtype=np.int64)
    np.minimum.at(born, item, moment)
    by_age = np.lexsort((np.arange(items), born))  # ids in alphabetical order decide among those of one moment
    there = np.searchsorted(born[by_age], moment, side="left")
    pairs, first = np.unique(user * items + item, return_index=True)  # rows are in order of time
    met = np.zeros(size, dtype=np.int64)
    met[first] = 1
    fresh = np.zeros(size, dtype=np.int64)
    fresh[first] = born[item[first]] == moment[first]
    log = pl.DataFrame({"user": user, "moment": moment, "met": met, "fresh": fresh})
    moments = log.group_by("user", "moment").agg(pl.col("met", "fresh").sum()).sort("user", "moment")
    known = moments.select("user", "moment", known=pl.col("met").cum_sum().over("user") - pl.col("fresh"))
    own = log.select("user", "moment").join(known, on=["user", "moment"], how="left", maintain_order="left")
    before = np.searchsorted(moment, moment, side="left")
    return _Past(item, before, by_age, there, pairs, moment[first], user, moment, there - own["known"].to_numpy())


def _drawn(events: pl.DataFrame, config: NegativesConfig) -> np.ndarray:
    """Return codes of items, by alphabet: [N, per_positive] int64, -1 = none."""
    past, count = _past_of(events), config.per_positive
    drawn = np.full((len(events), count), -1, dtype=np.int64)
    filled, wanted = np.zeros(len(events), dtype=np.int64), np.minimum(count, past.free)
    draws = max(DRAWS, DRAWS_EACH * count)
    for draw in range(draws):
        rows = np.flatnonzero(filled < wanted)
        if not len(rows):
            return drawn
        share = _chance(config.seed, rows, draw)
        if config.by == "uniform":
            item = past.by_age[(share * past.there[rows]).astype(np.int64)]
        else:
            item = past.item[(share * past.before[rows]).astype(np.int64)]
        new = past.is_free(rows, item) & (drawn[rows] != item[:, None]).all(axis=1)
        rows, item = rows[new], item[new]
        drawn[rows, filled[rows]] = item
        filled[rows] += 1
    _draw_rest(past, config, drawn, filled, wanted, draws)
    return drawn


def _draw_rest(
    past: _Past, config: NegativesConfig, drawn: np.ndarray, filled: np.ndarray, wanted: np.ndarray, draws: int
) -> None:
    """Draw what is missing from all that may be drawn: the largest of u^(1 / weight), as if drawn one by one.

    References: Efraimidis and Spirakis, Weighted random sampling with a reservoir, 2006.
    """
    counts, until = np.zeros(len(past.by_age)), 0
    for row in np.flatnonzero(filled < wanted).tolist():
        counts += np.bincount(past.item[until : past.before[row]], minlength=len(counts))
        until = int(past.before[row])
        left = past.by_age[: past.there[row]]
        left = left[past.is_free(np.full(len(left), row), left) & ~np.isin(left, drawn[row])]
        weight = np.ones(len(left)) if config.by == "uniform" else counts[left]
        share = _chance(config.seed, np.full(len(left), row), draws + 1 + np.arange(len(left)))
        best = np.argsort(-np.log(share + 2.0**-60) / weight, kind="stable")[: wanted[row] - filled[row]]
        drawn[row, filled[row] : wanted[row]] = left[best]


def _chance(seed: int, rows: np.ndarray, draw: int | np.ndarray) -> np.ndarray:
    """Return a number from 0 to 1 (exclusive) for each row and draw, by splitmix64: [n] float64."""
    state = np.zeros(1, dtype=np.uint64)
    for part in (np.array([seed]), np.asarray(rows), np.asarray(draw)):
        state = (state + part.astype(np.uint64) + np.uint64(1)) * np.uint64(GOLDEN)  # wraps around
        state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        state = state ^ (state >> np.uint64(31))
    return (state >> np.uint64(11)).astype(np.float64) * 2.0**-53
