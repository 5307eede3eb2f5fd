"""Sums over strictly earlier rows of the same key: the leak-safe way to count."""

from dataclasses import dataclass

import numpy as np
import polars as pl


@dataclass(frozen=True)
class Earlier:
    """For each row, the range of rows of the same key that are strictly earlier, in an order sorted by key and time."""

    order: np.ndarray
    """[N] int64: rows sorted by key, then time."""
    begin: np.ndarray
    """[N] int64: where each row's key begins in `order`."""
    end: np.ndarray
    """[N] int64: one past the last strictly earlier row in `order`."""

    def total(self, values: np.ndarray, last: int | None = None) -> np.ndarray:
        """Add up a column over each row's strictly earlier rows.

        Every key has a running sum of its own, so that no other row changes a total, not even in its rounding.

        Args:
            values: [N], aligned with the rows.
            last: How many of the newest earlier rows to take; all where None.

        Returns:
            [N] float64.
        """
        rows = pl.DataFrame({"key": self.begin[self.order], "value": values[self.order].astype(np.float64)})
        sums = rows.select(pl.col("value").cum_sum().over("key")).to_series().to_numpy()
        running = np.concatenate([[0.0], sums])  # at k + 1: what the key's rows add up to until place k
        begin = self.begin if last is None else np.maximum(self.begin, self.end - last)
        until = np.where(self.end > self.begin, running[self.end], 0)
        return until - np.where(begin > self.begin, running[begin], 0)

    def count(self, last: int | None = None) -> np.ndarray:
        """Count each row's strictly earlier rows, `last` at most: [N] float64."""
        number = (self.end - self.begin).astype(np.float64)
        return number if last is None else np.minimum(number, last)

    def mean(self, values: np.ndarray, last: int | None = None, prior: float | np.ndarray = 0.0) -> np.ndarray:
        """Average a column over each row's strictly earlier rows; `prior` where there are none: [N] float64."""
        number = self.count(last)
        return np.where(number > 0, self.total(values, last) / np.maximum(number, 1), prior)

    def newest(self) -> np.ndarray:
        """Each row's newest strictly earlier row: [N] int64, -1 where there is none."""
        return np.where(self.end > self.begin, self.order[np.maximum(self.end - 1, 0)], -1)


def strictly_earlier(key: np.ndarray, time: np.ndarray) -> Earlier:
    """Find for each row the rows of the same key whose time is strictly earlier.

    Args:
        key: [N] int64.
        time: [N] datetime64[us].

    Returns:
        The ranges.

    Example:
        >>> second = np.array([0, 1, 1, 2], dtype="datetime64[us]")
        >>> strictly_earlier(np.array([7, 7, 7, 7]), second).count().tolist()
        [0.0, 1.0, 1.0, 3.0]
    """
    rows = np.arange(len(key))
    order = np.lexsort((rows, time, key))
    sorted_key, sorted_time = key[order], time[order]
    new_key = np.ones(len(key), dtype=bool)
    new_key[1:] = sorted_key[1:] != sorted_key[:-1]
    new_moment = new_key.copy()
    new_moment[1:] |= sorted_time[1:] != sorted_time[:-1]
    begin, end = np.empty_like(rows), np.empty_like(rows)
    begin[order] = np.maximum.accumulate(np.where(new_key, rows, 0))
    end[order] = np.maximum.accumulate(np.where(new_moment, rows, 0))
    return Earlier(order, begin, end)
