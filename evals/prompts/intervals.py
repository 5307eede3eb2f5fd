"""Intervals of means over the rows of a trial, and of differences between versions over the same rows.

Rows are resampled, for each version the same ones; of few rows the interval is stretched as in `evals/intervals.py`.
A share of rows, whose values are 0 and 1, has Wilson's interval instead.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import permutations
from typing import Literal

import numpy as np
from scipy.special import ndtri

from evals.intervals import LEVEL, user_interval
from evals.trial import Figure, Measured
from evals.words import LEAST_USERS

REPLICATES = 2_000
"""Resamples of an interval."""
ByRow = Mapping[str, Sequence[float | None]]
"""Version -> its value for each row; None where it has none."""


def mean_of_rows(values: Sequence[float | None], seed: int = 0, *, shares: bool = True) -> Figure:
    """Return the mean over the rows that have a value, with its interval.

    Args:
        values: One for each row; None where it has none.
        seed: Seed of the resamples.
        shares: Whether values of 0 and 1 say which rows have something; they do not if they are differences.

    Example:
        >>> mean_of_rows([1.0, None, 0.0]).mean, mean_of_rows([1.0]).why
        (0.5, '1 row: too few for an interval')
    """
    known = np.array([value for value in values if value is not None], dtype=np.float64)
    if not len(known):
        return Figure(None, why="no row has a value")
    mean, rows = float(known.mean()), len(known)
    if rows < LEAST_USERS:
        return Figure(mean, rows=rows, why=f"{rows:,} row{'s' * (rows != 1)}: too few for an interval")
    if shares and set(known.tolist()) <= {0.0, 1.0}:
        return Figure(mean, *wilson(mean, rows), rows)
    drawn = np.random.default_rng(seed).integers(rows, size=(REPLICATES, rows))
    low, high = user_interval(known[drawn].mean(axis=1), mean, rows)
    return Figure(mean, low, high, rows)


def wilson(share: float, rows: int) -> tuple[float, float]:
    """Return the interval of a share; that of 0 of 50 rows is not [0, 0], as resampling would have it.

    Source: Wilson 1927, "Probable Inference, the Law of Succession, and Statistical Inference".

    Example:
        >>> [round(end, 3) for end in wilson(0.0, 50)]
        [0.0, 0.071]
    """
    z = float(ndtri((1 + LEVEL) / 2))
    middle, half = share + z**2 / (2 * rows), z * np.sqrt(share * (1 - share) / rows + (z / (2 * rows)) ** 2)
    low, high = (middle - half) / (1 + z**2 / rows), (middle + half) / (1 + z**2 / rows)
    return max(0.0, float(low)), min(1.0, float(high))


def difference_of_rows(values: Sequence[float | None], others: Sequence[float | None], seed: int = 0) -> Figure:
    """Return the mean of `values - others` over the rows that have both, with its interval."""
    pairs = zip(values, others, strict=True)
    differences = [None if a is None or b is None else a - b for a, b in pairs]
    figure = mean_of_rows(differences, seed, shares=False)
    if any(differences) or figure.mean is None:
        return figure
    return Figure(0.0, rows=figure.rows, why="no row differs")


def measured_by_row(
    name: str,
    about: str,
    better: Literal["higher", "lower", "neither"],
    by_row: ByRow,
    *,
    kind: Literal["text", "judge", "worth", "cost"] = "text",
    comparable: Callable[[str, str], str] = lambda one, other: "",
    seed: int = 0,
) -> Measured:
    """Make a measure of values by row: the mean of every version, and every difference between two of them.

    Args:
        name: Its name.
        about: What it says, in one sentence.
        better: Which direction is better.
        by_row: Version -> its value for each row.
        kind: Its section.
        comparable: Returns why two versions cannot be compared; empty if they can.
        seed: Seed of the intervals.
    """
    figures = {version: mean_of_rows(values, seed) for version, values in by_row.items()}
    against: dict[str, dict[str, Figure]] = {version: {} for version in by_row}
    for one, other in permutations(by_row, 2):
        why = comparable(one, other)
        against[one][other] = Figure(None, why=why) if why else difference_of_rows(by_row[one], by_row[other], seed)
    return Measured(name, about, kind, better, figures, against, by_row)
