"""Strictly earlier rows with the same key, and sums over them: what every statistic is made of."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from ctr.order import stable_order


@dataclass(frozen=True)
class Earlier:
    """For each row, the range of strictly earlier rows with the same key, in an order sorted by key and time."""

    order: np.ndarray
    """[M] int64: the rows that count, sorted by key, then time."""
    begin: np.ndarray
    """[N] int64: where each row's key begins in `order`."""
    end: np.ndarray
    """[N] int64: one past the last strictly earlier row in `order`."""

    def running(self, values: np.ndarray) -> "Running":
        """Add up a column along each key, once for all that is asked of its sums: [N], aligned with the rows."""
        counted = values[self.order].astype(np.float64)
        key = self.begin[self.order]
        if len(key) and key[-1] == 0:  # one key
            sums = np.cumsum(counted)
        else:
            rows = pl.DataFrame([pl.Series("key", key).set_sorted(), pl.Series("value", counted)])
            sums = rows.select(pl.col("value").cum_sum().over("key")).to_series().to_numpy()
        return Running(self, np.concatenate([[0.0], sums]))

    def total(self, values: np.ndarray, last: int | None = None) -> np.ndarray:
        """Sum a column over each row's strictly earlier rows, see `Running.total`."""
        return self.running(values).total(last)

    def count(self, last: int | None = None) -> np.ndarray:
        """Count each row's strictly earlier rows, at most `last`: [N] float64."""
        number = (self.end - self.begin).astype(np.float64)
        return number if last is None else np.minimum(number, last)

    def mean(self, values: np.ndarray, last: int | None = None, prior: float | np.ndarray = 0.0) -> np.ndarray:
        """Average a column over each row's strictly earlier rows; `prior` where there are none: [N] float64."""
        return self.running(values).mean(last, prior)

    def newest(self) -> np.ndarray:
        """Return each row's newest strictly earlier row: [N] int64, -1 = none."""
        return np.append(self.order, -1)[np.where(self.end > self.begin, self.end - 1, -1)]


@dataclass(frozen=True)
class Running:
    """The running sums of a column.

    Every key has its own, so that other rows do not change a total, not even its rounding.
    """

    earlier: Earlier
    """Whose rows are summed."""
    sums: np.ndarray
    """[M + 1] float64: at k + 1 the sum of the key's rows up to index k of `earlier.order`."""

    def total(self, last: int | None = None) -> np.ndarray:
        """Sum each row's strictly earlier rows.

        Args:
            last: Number of newest earlier rows to use; None = all.

        Returns:
            [N] float64.
        """
        of, sums = self.earlier, self.sums
        until = np.where(of.end > of.begin, sums[of.end], 0)
        if last is None:
            return until
        begin = np.maximum(of.begin, of.end - last)
        return until - np.where(begin > of.begin, sums[begin], 0)

    def mean(self, last: int | None = None, prior: float | np.ndarray = 0.0) -> np.ndarray:
        """Average each row's strictly earlier rows; `prior` where there are none: [N] float64."""
        number = self.earlier.count(last)
        return np.where(number > 0, self.total(last) / np.maximum(number, 1), prior)


def strictly_earlier(key: np.ndarray, time: np.ndarray, counted: np.ndarray | None = None) -> Earlier:
    """Find, for each row, the rows with the same key and a strictly earlier time.

    Args:
        key: [N] int64.
        time: [N] datetime64[us].
        counted: [N] bool: the rows that others may see; None = all.

    Returns:
        The ranges.

    Example:
        >>> second = np.array([0, 1, 1, 2], dtype="datetime64[us]")
        >>> strictly_earlier(np.array([7, 7, 7, 7]), second).count().tolist()
        [0.0, 1.0, 1.0, 3.0]
    """
    order = np.arange(len(key)) if (time[1:] >= time[:-1]).all() else np.argsort(time, kind="stable")
    order = order[stable_order(key[order])]  # by key, then time, then row
    sorted_key, sorted_time = key[order], time[order]
    new_key = np.ones(len(key), dtype=bool)
    new_key[1:] = sorted_key[1:] != sorted_key[:-1]
    new_moment = new_key.copy()
    new_moment[1:] |= sorted_time[1:] != sorted_time[:-1]
    seen = np.ones(len(key), dtype=bool) if counted is None else counted[order]
    before = np.cumsum(seen) - seen  # [N] how many of those that count come before each place
    begin, end = np.empty_like(order), np.empty_like(order)
    begin[order] = np.maximum.accumulate(np.where(new_key, before, 0))
    end[order] = np.maximum.accumulate(np.where(new_moment, before, 0))
    return Earlier(order[seen], begin, end)
