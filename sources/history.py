"""Leak-safe histories: what a user did strictly before a sample."""

import numpy as np
import polars as pl


def histories(events: pl.DataFrame, length: int = 30) -> np.ndarray:
    """Find each event's history: the same user's strictly earlier events.

    An event of the same second is not history: in many logs a session is written with one time stamp.

    Args:
        events: Canonical events, sorted by time.
        length: Number of events, the newest ones.

    Returns:
        [N, length] int32: rows of `events`, oldest first, the newest in the last column; -1 where there are fewer.
    """
    user = events["user"].to_physical() if events["user"].dtype == pl.Categorical else events["user"].rank("dense")
    codes = user.to_numpy().astype(np.int64)
    order = np.lexsort((np.arange(len(events)), codes))  # by user, then by row, which is by time
    sorted_user, sorted_time = codes[order], events["time"].to_numpy()[order]
    starts_user = np.r_[True, sorted_user[1:] != sorted_user[:-1]] if len(order) else np.array([], dtype=bool)
    starts_tie = starts_user | np.r_[True, sorted_time[1:] != sorted_time[:-1]] if len(order) else starts_user
    place = np.arange(len(order))
    begin = np.maximum.accumulate(np.where(starts_user, place, 0))  # first event of the user
    end = np.maximum.accumulate(np.where(starts_tie, place, 0))  # first event of the same moment: history ends before
    wanted = end[:, None] - np.arange(length, 0, -1)[None, :]  # [N, length]
    found = np.where(wanted >= begin[:, None], order[np.maximum(wanted, 0)], -1) if len(order) else wanted
    out = np.empty((len(order), length), dtype=np.int32)
    out[order] = found
    return out
