"""Intervals of a gain by a paired bootstrap over users and seeds.

Users are drawn, not rows: the rows of one user share the user's taste, history and knowledge, so they are not
independent, and intervals from drawn rows would be too narrow. Seeds are drawn too, because a gain that hangs on a
lucky initialisation is no gain. Both arms get the same draws: what is easy or hard for both cancels out, and only their
difference is left in the interval.
A bootstrap of few users is too sure of itself: it knows no spread but that of the users it has, and takes the normal
quantile where Student's is due. Its lengths to both sides are therefore stretched by `stretch`; unequal users count
as the smaller number of equal ones that says as much (`effective_users`). `benchmarks/aa_test.py` measures how often
noise is called a gain.
Source: Efron and Tibshirani 1993, "An Introduction to the Bootstrap", chapters 8 and 13 (percentile interval);
Hesterberg 2015, "What Teachers Should Know About the Bootstrap" (the expanded percentile interval: there the quantiles
are moved, here the lengths, because a thousand replicates have no quantiles of a few in a hundred thousand).
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri, stdtrit

LEVEL = 0.95
"""Share of the replicates inside an interval."""
LEAST_DEFINED = 0.9
"""Share of the replicates that must have a value; with fewer, the segment is too small for an interval."""


@dataclass(frozen=True)
class Draws:
    """The same R draws for every arm, segment and metric."""

    users: np.ndarray
    """[U, R] uint16: how often each user is in each replicate; a column sums to U."""
    seeds: np.ndarray
    """[S, R] uint16: how often each training seed is; a column sums to S."""


def draw(users: int, seeds: int, replicates: int, seed: int) -> Draws:
    """Draw users and seeds with replacement.

    Every replicate has a generator of its own, made from the seed and its number, so the first hundred of a thousand
    replicates are the hundred of a shorter run.

    Args:
        users: Number of users U with a test row.
        seeds: Number of training seeds S.
        replicates: Number of replicates R.
        seed: Seed of the draws.

    Returns:
        The draws; equal arguments give equal draws.
    """
    of_users = np.zeros((users, replicates), dtype=np.uint16)
    of_seeds = np.zeros((seeds, replicates), dtype=np.uint16)
    for replicate in range(replicates):
        generator = np.random.default_rng((seed, replicate))
        of_users[:, replicate] = np.bincount(generator.integers(users, size=users), minlength=users)
        of_seeds[:, replicate] = np.bincount(generator.integers(seeds, size=seeds), minlength=seeds)
    return Draws(of_users, of_seeds)


def replicate_gains(arm: np.ndarray, control: np.ndarray, draws: Draws) -> np.ndarray:
    """Mean gain over the drawn seeds in every replicate.

    Args:
        arm: [S, R] a metric of the arm by seed under each replicate's users.
        control: [S, R] the same of the control; seed by seed paired with the arm.
        draws: The draws.

    Returns:
        [R] float64, metric of the arm minus that of the control; NaN where it is undefined.
    """
    return ((arm - control) * draws.seeds).sum(axis=0) / draws.seeds.sum(axis=0)


def effective_users(rows: np.ndarray) -> float:
    """Number of users with equally many rows that would say as much as these: 1 / sum of squared shares.

    Args:
        rows: [U] rows of each user, not all 0.

    Returns:
        1 to U; U where all have equally many.

    Source: Kish 1965, "Survey Sampling", section 11.7; as the effective number of clusters in Carter, Schnepel and
    Steigerwald 2017, "Asymptotic Behavior of a t-Test Robust to Cluster Heterogeneity".
    """
    return float(rows.sum(dtype=np.float64) ** 2 / np.square(rows, dtype=np.float64).sum())


def stretch(effective: float, level: float = LEVEL) -> float:
    """By how much a percentile interval over so many users is too short: sqrt(n / (n - 1)) t(n - 1) / z.

    The root undoes that a bootstrap's variance divides by n, the quantile of Student's distribution replaces the
    normal one.

    Args:
        effective: Number of equal users n, above 1.
        level: Share of the replicates inside the interval.

    Returns:
        1 for endlessly many users; 1.096 for 20, 1.217 for 10.
    """
    quantile = (1 + level) / 2
    return float(np.sqrt(effective / (effective - 1)) * stdtrit(effective - 1, quantile) / ndtri(quantile))


def user_interval(gains: np.ndarray, mean: float, effective: float) -> tuple[float, float]:
    """Interval of a gain from replicates over users, widened for their small number.

    Args:
        gains: [R] gain of every replicate, with NaN where undefined.
        mean: Gain of the rows as they are.
        effective: Number of equal users.

    Returns:
        Low and high, the lengths of the percentile interval to both sides of the mean stretched; NaN twice where there
        is no percentile interval.
    """
    low, high = percentile_interval(gains)
    factor = stretch(effective)
    return mean - factor * (mean - low), mean + factor * (high - mean)


def percentile_interval(gains: np.ndarray, level: float = LEVEL) -> tuple[float, float]:
    """Central interval of the replicates.

    Replicates in which the metric is undefined (no row of one class was drawn) are left out; there are some only in
    tiny segments.

    Args:
        gains: [R], with NaN where undefined.
        level: Share of the replicates inside.

    Returns:
        Low and high; NaN twice where less than `LEAST_DEFINED` of the replicates have a value.
    """
    known = gains[~np.isnan(gains)]
    if len(known) == 0 or len(known) < LEAST_DEFINED * len(gains):
        return float("nan"), float("nan")
    low, high = np.percentile(known, [50 * (1 - level), 50 * (1 + level)])
    return float(low), float(high)
