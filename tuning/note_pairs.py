"""NoteLLM's pairs: which items users go on to from an item, counted from co-engagement.

Paper:     Zhang et al. 2024, "NoteLLM: A Retrievable Large Language Model for Note Recommendation" (arXiv 2403.01744),
           section 4.2.
Formula:   s(A -> B) = sum over the users who engaged with A and strictly later with B of 1 / N_u, N_u = number of items
           that u engaged with; kept if low <= s <= high, and of these the `top` highest per A. Directed, never A -> A.
Why:       1 / N_u keeps very active users, who have seen everything, from deciding what belongs together.
Cost:      one pass: every event is a source once, and the pairs of some sources are finished before the next are
           started, so memory stays near that of the log (80 bytes per event, 8 GB for 100 million) and time grows with
           events x window (benchmarks/pairs_speed.py).
Relations: tuning/contrastive.py learns from them; evals/similar.py evaluates those that were held out.
"""

import hashlib
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import polars as pl

from sources.tables import Dataset

UNIT = 2.0**-40
"""Weights are whole multiples of this, so that a sum is exact and does not depend on the order of its terms."""
CANDIDATES_AT_ONCE = 4_000_000
"""Event pairs processed at a time: about 200 MB."""
SCHEMA = {"source": pl.String, "target": pl.String, "score": pl.Float64}


@dataclass(frozen=True)
class TrainingPairs:
    """Pairs, and the newest event behind them."""

    pairs: pl.DataFrame
    """source, target (String), score (Float64), from `note_pairs`."""
    seen_until: datetime | None
    """Time of the newest event they were counted from; None if there was none. Whatever is learned from the pairs may
    be shown only to strictly later samples."""


def training_pairs(
    dataset: Dataset,
    *,
    until: datetime | None = None,
    items: Collection[str] | None = None,
    window: int = 50,
    low: float = 0.01,
    high: float = 30.0,
    top: int = 10,
) -> TrainingPairs:
    """Count pairs over the training events, and return them with the newest event behind them.

    Args:
        dataset: The user's data; only events with label 1 count.
        until: Use only events strictly before this moment.
        items: Use only events with these items.
        window: See `note_pairs`.
        low: See `note_pairs`.
        high: See `note_pairs`.
        top: See `note_pairs`.
    """
    events = dataset.events.filter((pl.col("part") == "train") & (pl.col("label") == 1))
    if until is not None:
        events = events.filter(pl.col("time") < until)
    if items is not None:
        events = events.filter(pl.col("item").is_in(pl.Series(sorted(items), dtype=pl.String).implode()))
    pairs = note_pairs(events, window=window, low=low, high=high, top=top)
    newest = events["time"].max()
    return TrainingPairs(pairs, newest if isinstance(newest, datetime) else None)


def share_of(items: Iterable[str], share: float, salt: str) -> list[str]:
    """Draw items by a hash of their id, so that a new item changes nothing for the others.

    Args:
        items: Ids.
        share: Approximate share to draw, 0 to 1.
        salt: Another salt gives another draw.

    Returns:
        Sorted ids.

    Example:
        >>> share_of(["a", "b"], 1.0, "test"), share_of(["a", "b"], 0.0, "test")
        (['a', 'b'], [])
    """

    def drawn(item: str) -> bool:
        return int.from_bytes(hashlib.sha256(f"{salt}/{item}".encode()).digest()[:8], "big") < share * 2**64

    return sorted(item for item in set(items) if drawn(item))


def note_pairs(
    events: pl.DataFrame, *, window: int = 50, low: float = 0.01, high: float = 30.0, top: int = 10
) -> pl.DataFrame:
    """Score directed pairs of items by the users who went from one to the other.

    A user who engaged with A or B several times counts once for A -> B. B is searched among the first `window` events
    strictly later than one of A; events of the same moment are not later than each other, and if the window ends inside
    a moment, its events count in the order of their item ids.

    Args:
        events: user, item (String), time (Datetime). With a column `label` only events with label 1 are engagements.
        window: Number of later events to search.
        low: Lowest score to keep.
        high: Highest score to keep; above it are items that everybody goes on to.
        top: Targets to keep per source, highest scores first; ties go to the first ids.

    Returns:
        source, target (String), score (Float64), sorted by source, then descending score, then target.

    Example:
        >>> log = pl.DataFrame({"user": ["u", "u"], "item": ["a", "b"], "time": [1, 2]})
        >>> note_pairs(log).rows()
        [('a', 'b', 0.5)]
    """
    if "label" in events.columns:
        events = events.filter(pl.col("label") == 1)
    if events.is_empty():
        return pl.DataFrame(schema=SCHEMA)
    ids = events["item"].unique().sort()
    log = _Log.of(events, ids, window)
    parts = [_best(*_scored(log, sources, len(ids)), low, high, top) for sources in _chunks(log, len(ids))]
    source, target, score = (np.concatenate(column) for column in zip(*parts, strict=True))
    return pl.DataFrame({"source": ids.gather(source), "target": ids.gather(target), "score": score}, schema=SCHEMA)


def pair_users(events: pl.DataFrame, pairs: pl.DataFrame, *, window: int = 50) -> pl.DataFrame:
    """Return the users behind the scores of some pairs: those who went from one item to the other.

    Args:
        events: The events that the pairs were counted from; see `note_pairs`.
        pairs: source, target.
        window: See `note_pairs`.

    Returns:
        source, target, user (String), weight (Float64, 1 / N_u), sorted by source, target and user; the weights of a
        pair sum to its score.

    Example:
        >>> log = pl.DataFrame({"user": ["u", "u", "v"], "item": ["a", "b", "a"], "time": [1, 2, 1]})
        >>> pair_users(log, note_pairs(log)).rows()
        [('a', 'b', 'u', 0.5)]
    """
    schema = {"source": pl.String, "target": pl.String, "user": pl.String, "weight": pl.Float64}
    if "label" in events.columns:
        events = events.filter(pl.col("label") == 1)
    if events.is_empty() or pairs.is_empty():
        return pl.DataFrame(schema=schema)
    ids, users = (events[name].unique().sort() for name in ("item", "user"))
    log = _Log.of(events, ids, window)
    code = dict(zip(ids, range(len(ids)), strict=True))
    wanted = np.array([code[one] * len(ids) + code[other] for one, other in pairs.select("source", "target").rows()])
    parts: list[tuple[np.ndarray, np.ndarray]] = []
    for sources in _chunks(log, len(ids)):
        pair, user = _walked(log, sources, len(ids))
        kept = np.isin(pair, wanted)
        parts.append((pair[kept], user[kept]))
    pair, user = (np.concatenate(column) for column in zip(*parts, strict=True))
    source, target = np.divmod(pair, len(ids))
    table = {"source": ids.gather(source), "target": ids.gather(target), "user": users.gather(user)}
    return pl.DataFrame({**table, "weight": log.weight[user] * UNIT}, schema=schema)


@dataclass(frozen=True)
class _Log:
    """N events sorted by user and time, of I items and U users, as arrays."""

    user: np.ndarray
    """[N] int64 codes."""
    item: np.ndarray
    """[N] int64 codes."""
    first: np.ndarray
    """[N] int64: the first event of the user that is strictly later."""
    later: np.ndarray
    """[N] int64: how many events from there on are searched."""
    weight: np.ndarray
    """[U] int64: weight of each user in `UNIT`s."""
    of_item: np.ndarray
    """[N] int64: the events in the order of their items."""
    starts: np.ndarray
    """[I + 1] int64: where each item begins in `of_item`."""

    @staticmethod
    def of(events: pl.DataFrame, ids: pl.Series, window: int) -> "_Log":
        codes = pl.DataFrame({"item": ids, "code": np.arange(len(ids))})
        log = (
            events.lazy()
            .select("user", "item", time=pl.col("time").to_physical())
            .join(codes.lazy(), on="item", how="left")
            .sort("user", "time", "code")
            .select(user=pl.col("user").rle_id().cast(pl.Int64), item="code", time="time")
            .collect()
        )
        user, item, time = (log[name].to_numpy() for name in ("user", "item", "time"))
        ends_user = np.r_[user[1:] != user[:-1], True]
        ends_moment = ends_user.copy()
        ends_moment[:-1] |= time[1:] != time[:-1]
        first, end = _after(ends_moment), _after(ends_user)
        items_of = log.group_by("user").agg(pl.col("item").n_unique()).sort("user")["item"].to_numpy()
        return _Log(
            user=user,
            item=item,
            first=first,
            later=np.minimum(end - first, window),
            weight=np.rint(1 / items_of / UNIT).astype(np.int64),
            of_item=np.argsort(item, kind="stable"),
            starts=np.r_[0, np.cumsum(np.bincount(item, minlength=len(ids)))],
        )


def _after(ends: np.ndarray) -> np.ndarray:
    """Return the index after the nearest end at or after each index: [N] bool -> [N] int64."""
    places = np.flatnonzero(ends)
    return places[np.searchsorted(places, np.arange(len(ends)))] + 1


def _chunks(log: _Log, items: int) -> Iterator[range]:
    """Yield sources to process together, up to a number of candidates; a source with more comes alone."""
    before = np.r_[0, np.cumsum(log.later[log.of_item])][log.starts]  # [I + 1] candidates before each source
    most = max(1, 2**62 // (items * len(log.weight)))  # source, target and user are one integer
    begin = 0
    while begin < items:
        end = int(np.searchsorted(before, before[begin] + CANDIDATES_AT_ONCE, side="right")) - 1
        end = min(max(end, begin + 1), begin + most, items)
        yield range(begin, end)
        begin = end


def _scored(log: _Log, sources: range, items: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return all targets of some sources: source, target (codes) and weight in units, sorted by source and target."""
    pair, user = _walked(log, sources, items)
    if not len(pair):
        return pair, pair, pair
    starts = np.flatnonzero(np.r_[True, pair[1:] != pair[:-1]])
    units = np.add.reduceat(log.weight[user], starts)
    source, target = np.divmod(pair[starts], items)
    return source, target, units


def _walked(log: _Log, sources: range, items: int) -> tuple[np.ndarray, np.ndarray]:
    """Return pair (source * items + target) and user of every step from some sources: each once, sorted."""
    events = log.of_item[log.starts[sources.start] : log.starts[sources.stop]]
    later = log.later[events]
    event = np.repeat(events, later)
    ahead = np.arange(len(event)) - np.repeat(np.cumsum(later) - later, later)
    target = log.item[log.first[event] + ahead]
    key = ((log.item[event] - sources.start) * items + target) * len(log.weight) + log.user[event]
    key = key[log.item[event] != target]
    if not len(key):
        return key, key
    key.sort()
    pair, user = np.divmod(key[np.r_[True, key[1:] != key[:-1]]], len(log.weight))  # a user counts once
    return pair + sources.start * items, user


def _best(
    source: np.ndarray, target: np.ndarray, units: np.ndarray, low: float, high: float, top: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the highest scores of each source within the bounds, highest first: source, target and score."""
    score = units * UNIT
    inside = (score >= low) & (score <= high)
    source, target, score = source[inside], target[inside], score[inside]
    order = np.lexsort((-score, source))  # stable: with equal scores the first target stays first
    source, target, score = source[order], target[order], score[order]
    place = np.arange(len(source)) - np.searchsorted(source, source)
    chosen = place < top
    return source[chosen], target[chosen], score[chosen]
