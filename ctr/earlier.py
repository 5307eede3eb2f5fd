"""Strictly earlier rows with the same key, and sums over them: what every statistic is made of."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from ctr.order import index_type, stable_order


@dataclass(frozen=True)
class Earlier:
    """For each row, the range of strictly earlier rows with the same key, in an order sorted by key and time."""

    order: np.ndarray
    """[M] int32, or int64 of 2^31 rows: the rows that count, sorted by key, then time."""
    begin: np.ndarray
    """[N] of the same type: where each row's key begins in `order`."""
    end: np.ndarray
    """[N] of the same type: one past the last strictly earlier row in `order`."""

    def running(self, values: np.ndarray) -> "Running":
        """Add up a column along each key, once for all that is asked of its sums: [N], aligned with the rows."""
        counted = values[self.order].astype(np.float64, copy=False)
        key, sums = self.begin[self.order], np.zeros(len(counted) + 1)
        if len(key) and key[-1] == 0:  # one key
            np.cumsum(counted, out=sums[1:])
        else:
            rows = pl.DataFrame([pl.Series("key", key).set_sorted(), pl.Series("value", counted)])
            sums[1:] = rows.select(pl.col("value").cum_sum().over("key")).to_series().to_numpy()
        return Running(self, sums)

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
        """Return each row's newest strictly earlier row: [N] ints, -1 = none."""
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
    kind = index_type(len(key))
    in_order = bool((time[1:] >= time[:-1]).all())
    order = np.arange(len(key), dtype=kind) if in_order else np.argsort(time, kind="stable").astype(kind)
    order = order[stable_order(key[order])]  # by key, then time, then row
    new_key, new_moment = (_is_new(of[order]) for of in (key, time))
    new_moment |= new_key
    seen = np.ones(len(key), dtype=bool) if counted is None else counted[order]
    before = np.cumsum(seen, dtype=kind) - seen  # [N] how many of those that count come before each place
    begin, end = np.empty_like(order), np.empty_like(order)
    for out, new in ((begin, new_key), (end, new_moment)):
        out[order] = np.maximum.accumulate(np.where(new, before, 0))
    return Earlier(order if counted is None else order[seen], begin, end)


def _is_new(values: np.ndarray) -> np.ndarray:
    """Return where a value differs from the one before it: [N] -> [N] bool."""
    new = np.ones(len(values), dtype=bool)
    np.not_equal(values[1:], values[:-1], out=new[1:])
    return new
