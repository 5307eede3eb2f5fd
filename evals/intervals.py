"""Intervals of a gain by a paired bootstrap over users and seeds.

Users are drawn, not rows: the rows of one user share the user's taste, history and knowledge, so they are not
independent, and intervals from drawn rows would be too narrow. Seeds are drawn too, because a gain that depends on a
lucky initialisation is not a gain. Both arms get the same draws: what is easy or hard for both cancels out, and the
interval is that of their difference.
A bootstrap of few users gives too narrow intervals: it knows only the spread of the users it has, and uses the normal
quantile where Student's is needed. Its lengths to both sides are therefore multiplied by `stretch`; unequal users count
as a smaller number of equal users (`effective_users`). `benchmarks/aa_test.py` measures how often noise is called a
gain.
Source: Efron and Tibshirani 1993, "An Introduction to the Bootstrap", chapters 8 and 13 (percentile interval);
Hesterberg 2015, "What Teachers Should Know About the Bootstrap" (the expanded percentile interval: it moves the
quantiles; here the lengths change, because a thousand replicates have no quantiles of a few in a hundred thousand).

No row is copied: a resample is a column of weights, a user drawn twice counts each of its rows twice, and every metric
is a sum over users or over rows in the order of their scores. `FUNCTIONS` in metrics.py gives the same numbers on rows
that are really repeated (tested). The calibration error has no interval: it adds up sizes of gaps, and every resample
adds noise to each gap, so its replicates lie above the true value and their interval misses it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri, stdtrit

from evals.metrics import METRICS, entropy, row_losses, user_aucs

LEVEL = 0.95
"""Share of the replicates inside an interval."""
LEAST_DEFINED = 0.9
"""Share of the replicates that must have a value; otherwise the segment is too small for an interval."""


@dataclass(frozen=True)
class Draws:
    """The same R draws for every arm, segment and metric."""

    users: np.ndarray
    """[U, R] uint16: how often each user is in each replicate; a column sums to U."""
    seeds: np.ndarray
    """[S, R] uint16: how often each training seed is in each replicate; a column sums to S."""


def draw(users: int, seeds: int, replicates: int, seed: int) -> Draws:
    """Draw users and seeds with replacement.

    Every replicate has its own generator, made from the seed and its number, so the first hundred of a thousand
    replicates equal those of a shorter run.

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
    """Compute the mean gain over the drawn seeds in every replicate.

    Args:
        arm: [S, R] a metric of the arm by seed under each replicate's users.
        control: [S, R] the same for the control, paired with the arm by seed.
        draws: The draws.

    Returns:
        [R] float64, metric of the arm minus that of the control; NaN where it is undefined.
    """
    return ((arm - control) * draws.seeds).sum(axis=0) / draws.seeds.sum(axis=0)


def effective_users(rows: np.ndarray) -> float:
    """Return the number of users with equal rows that give as much evidence: 1 / sum of squared shares.

    Args:
        rows: [U] rows of each user, not all 0.

    Returns:
        1 to U; U if all have the same number.

    Source: Kish 1965, "Survey Sampling", section 11.7; as the effective number of clusters in Carter, Schnepel and
    Steigerwald 2017, "Asymptotic Behavior of a t-Test Robust to Cluster Heterogeneity".
    """
    return float(rows.sum(dtype=np.float64) ** 2 / np.square(rows, dtype=np.float64).sum())


def stretch(effective: float, level: float = LEVEL) -> float:
    """Return the factor by which a percentile interval over n users is too short: sqrt(n / (n - 1)) t(n - 1) / z.

    The root corrects for a bootstrap's variance, which divides by n; the quantile of Student's distribution replaces
    the normal one.

    Args:
        effective: Number of equal users n, above 1.
        level: Share of the replicates inside the interval.

    Returns:
        1 for infinitely many users; 1.096 for 20, 1.217 for 10.
    """
    quantile = (1 + level) / 2
    return float(np.sqrt(effective / (effective - 1)) * stdtrit(effective - 1, quantile) / ndtri(quantile))


def user_interval(gains: np.ndarray, mean: float, effective: float) -> tuple[float, float]:
    """Compute the interval of a gain from replicates over users, widened for small numbers of users.

    Args:
        gains: [R] gain of every replicate, with NaN where undefined.
        mean: Gain of the original rows.
        effective: Number of equal users.

    Returns:
        Low and high: the percentile interval, stretched to both sides of the mean; NaN twice if there is no percentile
        interval.
    """
    low, high = percentile_interval(gains)
    factor = stretch(effective)
    return mean - factor * (mean - low), mean + factor * (high - mean)


def percentile_interval(gains: np.ndarray, level: float = LEVEL) -> tuple[float, float]:
    """Compute the central interval of the replicates.

    Replicates in which the metric is undefined (no row of one class was drawn) are left out; there are some only in
    tiny segments.

    Args:
        gains: [R], with NaN where undefined.
        level: Share of the replicates inside.

    Returns:
        Low and high; NaN twice if less than `LEAST_DEFINED` of the replicates have a value.
    """
    known = gains[~np.isnan(gains)]
    if len(known) == 0 or len(known) < LEAST_DEFINED * len(gains):
        return float("nan"), float("nan")
    low, high = np.percentile(known, [50 * (1 - level), 50 * (1 + level)])
    return float(low), float(high)


RESAMPLED = tuple(name for name, metric in METRICS.items() if metric.no_interval is None)
"""Metrics with an interval."""
CHUNK_CELLS = 2**17
"""Rows times resamples processed at once: 1 MB of float64 per array, which stays in a core's cache."""


def resampled_metrics(
    label: np.ndarray, probability: np.ndarray, user: np.ndarray, weights: np.ndarray
) -> Mapping[str, np.ndarray]:
    """Compute every metric that has an interval, under every resample of users.

    Args:
        label: [N], 0 or 1.
        probability: [N].
        user: [N] int64 codes, 0 to U - 1.
        weights: [U, R] whole numbers: how often each user is in each resample.

    Returns:
        Metric -> [R] float64, NaN where undefined.
    """
    users, resamples = weights.shape
    out = {name: np.full(resamples, np.nan) for name in RESAMPLED}
    if len(label) == 0:
        return out
    table = _user_sums(label, probability, user, users)
    ranking = _Ranking(label, probability, user)
    for part in _chunks(len(label), resamples):
        weight = weights[:, part].astype(np.float64)  # [U, C]
        rows, positives, loss, ranked, ranked_auc = table @ weight  # each [C]
        out["auc"][part] = _ratio(ranking.right_pairs(weight), positives * (rows - positives))
        out["gauc"][part] = _ratio(ranked_auc, ranked)
        out["logloss"][part] = _ratio(loss, rows)
        out["nce"][part] = _ratio(out["logloss"][part], entropy(_ratio(positives, rows)))
    return out


def _user_sums(label: np.ndarray, probability: np.ndarray, user: np.ndarray, users: int) -> np.ndarray:
    """Compute everything that is a sum over a user's rows.

    Returns:
        [5, U]: rows, positives, losses, rows of users with both labels, and the same times the user's AUC.
    """
    value = user_aucs(label, probability, user, users)
    rows = np.bincount(user, minlength=users).astype(np.float64)
    ranked = np.where(np.isnan(value), 0.0, rows)
    positives = np.bincount(user, label, users)
    losses = np.bincount(user, row_losses(label, probability), users)
    return np.stack([rows, positives, losses, ranked, np.nan_to_num(value) * ranked])


class _Ranking:
    """Rows sorted once by score: P positives and M negatives."""

    def __init__(self, label: np.ndarray, probability: np.ndarray, user: np.ndarray) -> None:
        order = np.argsort(probability, kind="stable")
        positive = label[order] == 1
        positives, negatives = order[positive], order[~positive]
        self.positive_user = user[positives]  # [P]
        self.negative_user = user[negatives]  # [M]
        # Negatives strictly below a positive, and below or equal: their mean counts a tie half.
        self.below = np.searchsorted(probability[negatives], probability[positives], "left")  # [P]
        self.below_or_equal = np.searchsorted(probability[negatives], probability[positives], "right")  # [P]
        self.ties = bool((self.below != self.below_or_equal).any())

    def right_pairs(self, weight: np.ndarray) -> np.ndarray:
        """Count the weighted (positive, negative) pairs in the right order, ties half; [U, C] -> [C].

        Whole numbers and halves below 2**53 in float64: exact.
        """
        passed = np.zeros((len(self.negative_user) + 1, weight.shape[1]))  # [M + 1, C] weight of the first m negatives
        np.cumsum(weight[self.negative_user], axis=0, out=passed[1:])
        below = passed[self.below]  # [P, C]
        if self.ties:
            below += passed[self.below_or_equal]
            below *= 0.5
        return np.einsum("pc,pc->c", weight[self.positive_user], below)


def _chunks(rows: int, resamples: int) -> Iterator[slice]:
    size = max(1, CHUNK_CELLS // rows)
    return (slice(start, min(start + size, resamples)) for start in range(0, resamples, size))


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    return np.divide(above, below, out=np.full(len(above), np.nan), where=below > 0)
