"""Shift and scale columns: numbers by all known values, statistics by strictly earlier rows alone."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ctr.order import index_type

LEAST_DEVIATION = 1e-6
"""A column with a smaller deviation counts as constant."""
FARTHEST = 5.0
"""Deviations from the mean at which a statistic is clipped."""
BLOCK = 2**15
"""Rows standardised at a time: all that is computed of them stays in the processor's cache."""


def scale_of(fitted_on: np.ndarray) -> tuple[tuple[float, float], ...]:
    """Return the mean and deviation of each column's known values (not NaN): [T, F] -> F pairs.

    A column that is constant or has no known values is not scaled: its deviation is 1.
    """
    known = ~np.isnan(fitted_on)
    number = np.maximum(known.sum(axis=0), 1)
    mean = np.where(known, fitted_on, 0).sum(axis=0, dtype=np.float64) / number
    deviation = np.sqrt(np.where(known, np.square(fitted_on - mean), 0).sum(axis=0, dtype=np.float64) / number)
    return tuple(zip(mean.tolist(), np.where(deviation > 1e-8, deviation, 1).tolist(), strict=True))


def standardise(values: np.ndarray, scale: Sequence[tuple[float, float]]) -> np.ndarray:
    """Shift and scale columns by their mean and deviation; unknown values (NaN) become 0.

    Args:
        values: [N, F].
        scale: Mean and deviation of each column, from `scale_of`.

    Returns:
        [N, F] float32.
    """
    mean, deviation = np.array(scale, dtype=np.float64).reshape(-1, 2).T
    return np.nan_to_num((values - mean) / deviation).astype(np.float32)


def standardise_by_past(values: np.ndarray, time: np.ndarray, happened: np.ndarray | None = None) -> np.ndarray:
    """Shift and scale each row by mean and deviation of strictly earlier rows; unknown values (NaN) become 0.

    Statistics are computed from labels, so a scale from later rows would leak them.

    Args:
        values: [N, F].
        time: [N] datetime64[us].
        happened: [N] bool: the rows that others are compared with; None = all.

    Returns:
        [N, F] float32, clipped to -5..5, because the first rows have few rows to compare with.
    """
    return standardised_columns(enumerate(values.T), values.shape[1], time, happened)


def standardised_columns(
    columns: Iterable[tuple[int, np.ndarray]], count: int, time: np.ndarray, happened: np.ndarray | None = None
) -> np.ndarray:
    """Standardise columns one by one, see `standardise_by_past`: `count` places and their [N] -> [N, count]."""
    blocks = list(_blocks(time, happened))
    out = np.zeros((len(time), count), dtype=np.float32)
    for place, column in columns:
        before = (0.0, 0.0, 0.0)
        for block in blocks:
            out[block.rows, place], before = block.standardise(column[block.rows], before)
    return out


@dataclass(frozen=True)
class _Block:
    """Rows of some moments, the whole of each, in order of time."""

    rows: slice | np.ndarray
    """n rows."""
    first: np.ndarray
    """[n] the first row of each row's moment, by its place in the block."""
    happened: np.ndarray | None
    """[n] bool: the rows that later ones are compared with; None = all."""

    def standardise(
        self, values: np.ndarray, before: tuple[float, float, float]
    ) -> tuple[np.ndarray, tuple[float, float, float]]:
        """Standardise one column.

        Args:
            values: [n] float64.
            before: How many values were known in all earlier blocks, their sum and their sum of squares.

        Returns:
            [n] float64; and the same three sums, with this block's.
        """
        known, filled = ~np.isnan(values), np.nan_to_num(values)
        (numbers, count), (sums, total), (squares, power) = (
            self._sums_before(of, carried)
            for of, carried in zip((known, filled, np.square(filled)), before, strict=True)
        )
        number = np.maximum(numbers, 1)
        mean = sums / number
        deviation = np.sqrt(np.maximum(squares / number - np.square(mean), 0))
        scaled = (filled - mean) / np.where(deviation > LEAST_DEVIATION, deviation, 1)
        return np.where(known, np.clip(scaled, -FARTHEST, FARTHEST), 0), (count, total, power)

    def _sums_before(self, values: np.ndarray, carried: float) -> tuple[np.ndarray, float]:
        """Sum over strictly earlier rows, one after the other so that blocks do not change the rounding."""
        sums = np.empty(len(values) + 1)
        sums[0], sums[1:] = carried, values if self.happened is None else np.where(self.happened, values, 0)
        np.cumsum(sums, out=sums)
        return sums[self.first], float(sums[-1])


def _blocks(time: np.ndarray, happened: np.ndarray | None) -> Iterator[_Block]:
    """Split all rows, in order of time, between moments."""
    if not len(time):
        return
    is_sorted = bool((time[1:] >= time[:-1]).all())
    order = None if is_sorted else np.argsort(time, kind="stable").astype(index_type(len(time)))
    in_order = time if order is None else time[order]
    starts = np.append(np.flatnonzero(in_order[1:] != in_order[:-1]) + 1, len(time))  # of moments but the first
    begin = 0
    while begin < len(time):
        end = int(starts[min(np.searchsorted(starts, begin + BLOCK), len(starts) - 1)])
        rows = slice(begin, end) if order is None else order[begin:end]
        times = in_order[begin:end]
        new = np.append(True, times[1:] != times[:-1])
        first = np.maximum.accumulate(np.where(new, np.arange(len(times)), 0)).astype(index_type(len(time)))
        yield _Block(rows, first, None if happened is None or happened[rows].all() else happened[rows])
        begin = end
