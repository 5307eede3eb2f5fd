"""Leak-safe histories: what a user did strictly before a sample."""

import numpy as np
import polars as pl


def histories(events: pl.DataFrame, length: int = 30) -> np.ndarray:
    """Find each event's history: the same user's strictly earlier events.

    An event of the same time stamp is not history: in many logs a session is written with one time stamp of a second.

    Args:
        events: Columns user and time, in any order; canonical events come sorted by time.
        length: Number of events, the newest ones.

    Returns:
        [N, length] int32: rows of `events`, oldest first, the newest in the last column; -1 where there are fewer.
        Of events of one moment the later row counts as the newer one.
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
    wanted = end[:, None] - np.arange(length, 0, -1)  # [N, length] places in the order
    found = np.where(wanted >= begin[:, None], order[np.maximum(wanted, 0)], -1)
    out = np.empty((count, length), dtype=np.int32)
    out[order] = found
    return out
