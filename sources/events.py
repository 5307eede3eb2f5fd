"""Derive from events their part of a split, and the events strictly before each one.

Splits are chronological; a split by global time never separates events of the same moment. Rolling time imitates
production: at each of several moments everything is fitted on what happened before and judged on what happens until
the next one.

Sessions are never cut: if the events have a column `session`, a session is in the part of its last event. So training
holds no event later than the cut; events before the cut may be tested, with the rest of their session.
"""

from collections.abc import Sequence

import numpy as np
import polars as pl

from sources.config import SplitConfig

PARTS = ("train", "validation", "test")
"""The parts of a split."""


def split(events: pl.DataFrame, config: SplitConfig) -> pl.Series:
    """Return for each event whether it is for training, validation or test.

    Args:
        events: Canonical events.
        config: How to split: by each user's position, or by cut-off times for all users.

    Returns:
        [N] String, aligned with `events`: `train`, `validation` or `test`. By position, a user's first
        floor(n * train) of n moments train, up to floor(n * (train + validation)) validate; with `together: event` the
        same holds of events. By time, events of the same moment are always in the same part, the later one. By either
        rule a session is in the part of its last event.
    """
    return _whole_sessions(events, _split(events, config))


def _split(events: pl.DataFrame, config: SplitConfig) -> pl.Series:
    if config.by == "user_position":
        place, size = pl.col("position"), pl.len().over("user")
        if config.together == "moment":
            place = pl.col("time").rank("dense").over("user") - 1
            size = pl.col("time").n_unique().over("user")
        first = (size * config.train + 1e-9).floor()  # 1e-9: a whole product must not be rounded down
        second = (size * (config.train + config.validation) + 1e-9).floor()
        return events.select(_name(place < first, place < second))["part"]
    first_cut, second_cut = _moments(events, (config.train, config.train + config.validation))
    return events.select(_name(pl.col("time") < first_cut, pl.col("time") < second_cut))["part"]


def with_parts(events: pl.DataFrame, config: SplitConfig) -> pl.DataFrame:
    """Add the column `part` from `split`, or replace it."""
    return events.with_columns(split(events, config).alias("part"))


def rolling_split(events: pl.DataFrame, cuts: Sequence[float]) -> list[pl.Series]:
    """Split the events again at each cut.

    Args:
        events: Canonical events.
        cuts: Ascending shares of all events at which models are trained: on everything before, tested until the next
            cut, the last one until the end.

    Returns:
        One [N] String series for each cut: `train`, `test`, or `none` for later events. They follow a series for
        choosing settings: its `validation` is the last stretch before the first cut, it trains on everything older and
        tests nothing. The stretch is as long as that from the first cut to the second (or to the end), but at most half
        of what is before the first cut.

    Example:
        >>> from datetime import datetime
        >>> times = [datetime(2024, 1, day) for day in range(1, 11)]
        >>> choosing, cut = rolling_split(pl.DataFrame({"time": times}), [0.8])
        >>> choosing.to_list()[5:], cut.to_list()[5:]
        (['train', 'validation', 'validation', 'none', 'none'], ['train', 'train', 'train', 'test', 'test'])
    """
    time = pl.col("time")
    stretch = min((cuts[1] if len(cuts) > 1 else 1.0) - cuts[0], cuts[0] / 2)
    early, *moments = _moments(events, (cuts[0] - stretch, *cuts))
    choosing = pl.when(time < early).then(pl.lit("train")).when(time < moments[0]).then(pl.lit("validation"))
    parts = [choosing.otherwise(pl.lit("none"))]
    for begin, end in zip(moments, [*moments[1:], None], strict=True):
        tested = time >= begin if end is None else (time >= begin) & (time < end)
        parts.append(
            pl.when(time < begin).then(pl.lit("train")).when(tested).then(pl.lit("test")).otherwise(pl.lit("none"))
        )
    return [_whole_sessions(events, events.select(part.alias("part"))["part"]) for part in parts]


def _whole_sessions(events: pl.DataFrame, part: pl.Series) -> pl.Series:
    """Put each session of a user into the part of its last event; an event without a session stays where it is.

    The last event decides, because by the first one training would hold events later than the cut.
    """
    if "session" not in events.columns:
        return part
    last = pl.col("part").last().over("user", "session")  # events are sorted by time
    whole = pl.when(pl.col("session").is_null()).then(pl.col("part")).otherwise(last)
    return events.select("user", "session", part.alias("part")).select(whole.alias("part"))["part"]


def _moments(events: pl.DataFrame, shares: Sequence[float]) -> list[pl.Expr]:
    """Return, for each share, the time of the event that has this share of all events before it."""
    times = events["time"].sort()
    if times.is_empty():
        return [pl.lit(None, dtype=times.dtype) for _ in shares]
    places = (min(int(len(times) * share + 1e-9), len(times) - 1) for share in shares)
    return [pl.lit(times[place]) for place in places]


def _name(trains: pl.Expr, validates: pl.Expr) -> pl.Expr:
    chosen = pl.when(trains).then(pl.lit("train")).when(validates).then(pl.lit("validation")).otherwise(pl.lit("test"))
    return chosen.alias("part")


def chosen(events: pl.DataFrame) -> np.ndarray:
    """Return which events say something of their user's taste: those with a rating or a label of 1: [N] bool.

    An event that only has a label of 0 is something the user was shown and did not choose.

    Args:
        events: label, and rating if the data has ratings.
    """
    rated = pl.col("rating").is_not_null() if "rating" in events.columns else pl.lit(value=False)
    return events.select(((pl.col("label") > 0) | rated).alias("chosen"))["chosen"].to_numpy()


def histories(events: pl.DataFrame, length: int = 30, shown: np.ndarray | None = None) -> np.ndarray:
    """Return each event's history: the same user's strictly earlier events.

    An event with the same timestamp is not history: in many logs a session has one timestamp, to the second.

    Args:
        events: Columns user and time, in any order; canonical events come sorted by time.
        length: Maximum number of events; the newest are used.
        shown: [N] bool: the events that a history may contain; None = all.

    Returns:
        [N, length] int32: rows of `events`, oldest first, the newest in the last column; -1 where there are fewer.
        Of events at the same moment the later row counts as newer.
    """
    count = len(events)
    if not count:
        return np.empty((0, length), dtype=np.int32)
    user = events["user"].rank("dense").to_numpy()
    time = events["time"].to_physical().to_numpy()
    order = np.lexsort((time, user))  # by user, then by time, then (the sort is stable) by row
    user, time = user[order], time[order]
    starts_user = np.r_[True, user[1:] != user[:-1]]
    starts_moment = starts_user | np.r_[True, time[1:] != time[:-1]]
    place = np.arange(count)
    begin = np.maximum.accumulate(np.where(starts_user, place, 0))  # first event of the user
    end = np.maximum.accumulate(np.where(starts_moment, place, 0))  # first event of the moment: history ends before it
    keep = np.ones(count, dtype=bool) if shown is None else np.asarray(shown, dtype=bool)[order]
    before = np.r_[0, np.cumsum(keep)]  # [N + 1] how many of those kept come before each position
    kept = np.r_[order[keep], 0]  # one more, so that an empty list can be indexed
    wanted = before[end][:, None] - np.arange(length, 0, -1)  # [N, length] positions among those kept
    found = np.where(wanted >= before[begin][:, None], kept[np.maximum(wanted, 0)], -1)
    out = np.empty((count, length), dtype=np.int32)
    out[order] = found
    return out
