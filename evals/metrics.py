"""Metrics of predicted click-through rates; each is NaN where it is undefined, never a guess."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

BINS = 15
"""Equal-count bins of the calibration error and of the reliability curve."""
EPSILON = 1e-7
"""In logarithms, probabilities stay this far from 0 and 1: float32 cannot distinguish much closer ones from 1."""


@dataclass(frozen=True)
class Metric:
    """How to show and read a metric."""

    name: str
    """Key in the results."""
    label: str
    """Heading in a table."""
    unit: str
    """Unit or range of its values."""
    higher_is_better: bool
    """Whether a larger value is a better model."""
    meaning: str
    """One sentence for the reader."""
    no_interval: str | None = None
    """Why its gains have no interval; None if they have one."""


METRICS: Mapping[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("auc", "AUC", "0 to 1, chance 0.5", True, "Chance that a positive row is scored above a negative one."),
        Metric(
            "gauc",
            "GAUC",
            "0 to 1, chance 0.5",
            True,
            "AUC within each user, averaged with the users' numbers of rows; users with one label only are left out.",
        ),
        Metric(
            "logloss",
            "LogLoss",
            "nats a row",
            False,
            "Mean negative log likelihood of the label; rewards good order and good calibration.",
        ),
        Metric(
            "ece",
            "ECE",
            "probability, 0 to 1",
            False,
            f"Expected calibration error: mean gap between predicted and observed rate over {BINS} equal-count bins. "
            "Chance alone makes gaps: read it beside its floor, which a calibrated model with the same predictions "
            "would show on average.",
            "sizes of gaps grow when rows are drawn, so a bootstrap of ECE misses the truth",
        ),
        Metric(
            "nce",
            "NCE",
            "1 = mean rate",
            False,
            "Normalised cross-entropy: LogLoss over the entropy of the label rate, so that segments can be compared.",
        ),
    )
}


def auc(label: np.ndarray, probability: np.ndarray) -> float:
    """Compute the area under the ROC curve: the share of (positive, negative) pairs in the right order, ties half.

    Args:
        label: [N], 0 or 1.
        probability: [N].

    Returns:
        0 to 1; NaN if one class is missing.

    Source: Hanley and McNeil 1982, "The meaning and use of the area under a ROC curve".
    """
    negatives = np.sort(probability[label == 0])
    positives = probability[label == 1]
    pairs = len(negatives) * len(positives)
    if pairs == 0:
        return float("nan")
    below = np.searchsorted(negatives, positives, "left").sum() + np.searchsorted(negatives, positives, "right").sum()
    return float(below / (2 * pairs))


def user_aucs(label: np.ndarray, probability: np.ndarray, user: np.ndarray, users: int) -> np.ndarray:
    """Compute the AUC of every user's own rows, all at once.

    Args:
        label: [N], 0 or 1.
        probability: [N].
        user: [N] int64 codes, 0 to `users` - 1.
        users: Number of users U.

    Returns:
        [U] float64; NaN if a user has no row or only one class.
    """
    if len(label) == 0:
        return np.full(users, np.nan)
    order = np.lexsort((probability, user))
    of_user, score, positive = user[order], probability[order], label[order] == 1
    starts = np.flatnonzero(np.r_[True, (np.diff(of_user) != 0) | (np.diff(score) != 0)])  # [G] groups of equal scores
    group_user = of_user[starts]
    positives = np.add.reduceat(positive.astype(np.int64), starts)
    negatives = np.add.reduceat((~positive).astype(np.int64), starts)
    n_positive = np.bincount(group_user, positives, users)
    n_negative = np.bincount(group_user, negatives, users)
    before_user = (np.cumsum(n_negative) - n_negative)[group_user]
    below = np.cumsum(negatives) - negatives - before_user
    right = np.bincount(group_user, positives * (below + negatives / 2), users)
    pairs = n_positive * n_negative
    return np.divide(right, pairs, out=np.full(users, np.nan), where=pairs > 0)


def gauc(label: np.ndarray, probability: np.ndarray, user: np.ndarray) -> float:
    """Compute the group AUC: every user's AUC, weighted by the user's rows; users with one class are left out.

    Args:
        label: [N], 0 or 1.
        probability: [N].
        user: [N] ids of any kind.

    Returns:
        0 to 1; NaN if no user has both classes.

    Source: Zhu et al. 2017, "Optimized Cost per Click in Taobao Display Advertising"; Zhou et al. 2018 (DIN), 6.2.
    """
    ids, codes = np.unique(user, return_inverse=True)
    values = user_aucs(label, probability, codes, len(ids))
    known = ~np.isnan(values)
    if not known.any():
        return float("nan")
    return float(np.average(values[known], weights=np.bincount(codes, minlength=len(ids))[known]))


def row_losses(label: np.ndarray, probability: np.ndarray) -> np.ndarray:
    """Compute the negative log likelihood of every row's label.

    Args:
        label: [N], 0 or 1.
        probability: [N]; clipped to `EPSILON`, so that a mistake made with certainty costs 16.1 nats and not infinity.

    Returns:
        [N] float64, in nats.
    """
    clipped = np.clip(probability.astype(np.float64), EPSILON, 1 - EPSILON)
    return -np.where(label == 1, np.log(clipped), np.log1p(-clipped))


def logloss(label: np.ndarray, probability: np.ndarray) -> float:
    """Compute the mean negative log likelihood.

    Args:
        label: [N], 0 or 1.
        probability: [N], clipped to `EPSILON`.

    Returns:
        Nats per row; NaN without rows.
    """
    return float(row_losses(label, probability).mean()) if len(label) else float("nan")


def entropy(rate: np.ndarray) -> np.ndarray:
    """Compute the entropy in nats of a label with a given rate; [...] -> [...], 0 at the rates 0 and 1."""
    rate = np.asarray(rate, dtype=np.float64)
    inside = np.where((rate > 0) & (rate < 1), rate, 0.5)
    return np.where((rate > 0) & (rate < 1), -inside * np.log(inside) - (1 - inside) * np.log1p(-inside), 0.0)


def nce(label: np.ndarray, probability: np.ndarray) -> float:
    """Compute the normalised cross-entropy: LogLoss divided by that of always predicting the label rate.

    Args:
        label: [N], 0 or 1.
        probability: [N].

    Returns:
        Below 1 = better than the mean rate; NaN if one class is missing.

    Source: He et al. 2014, "Practical Lessons from Predicting Clicks on Ads at Facebook", section 2.
    """
    if len(label) == 0 or label.min() == label.max():
        return float("nan")
    return logloss(label, probability) / float(entropy(label.mean(dtype=np.float64)))


def equal_count_bins(probability: np.ndarray, bins: int = BINS) -> np.ndarray:
    """Sort rows by probability into bins of about N / bins rows; equal probabilities share a bin.

    Args:
        probability: [N].
        bins: Number of bins.

    Returns:
        [N] int64, 0 to `bins` - 1: the share of rows with a strictly smaller probability, times `bins`, rounded down.
    """
    if len(probability) == 0:
        return np.zeros(0, dtype=np.int64)
    smaller = np.searchsorted(np.sort(probability), probability, "left")
    return smaller * bins // len(probability)


def ece(label: np.ndarray, probability: np.ndarray, bins: int = BINS) -> float:
    """Compute the expected calibration error over equal-count bins, 15 by default.

    It is the mean over bins, weighted by rows, of |mean predicted - mean observed|. Bins have equal counts, because
    predicted rates are concentrated, and most bins of equal width would be nearly empty.

    Args:
        label: [N], 0 or 1.
        probability: [N].
        bins: Number of bins.

    Returns:
        A probability, 0 = calibrated; NaN without rows.

    Source: Naeini et al. 2015, "Obtaining Well Calibrated Probabilities Using Bayesian Binning"; equal counts as in
    Nixon et al. 2019, "Measuring Calibration in Deep Learning".
    """
    if len(label) == 0:
        return float("nan")
    gaps = np.bincount(equal_count_bins(probability, bins), label.astype(np.float64) - probability, bins)
    return float(np.abs(gaps).sum() / len(label))


def ece_floor(probability: np.ndarray, bins: int = BINS) -> float:
    """Compute the average calibration error of a perfectly calibrated model with the same predictions and bins.

    In a bin whose labels occur with their predicted rates, observed minus predicted has mean 0 and variance
    sum p (1 - p), and is nearly normal: its mean size is sqrt(2 / pi) times its standard deviation. The part of `ece`
    above this floor is the model's own error. Labels are assumed independent given the predictions.

    Args:
        probability: [N].
        bins: Number of bins.

    Returns:
        A probability, about sqrt(2 bins p (1 - p) / (pi N)); NaN without rows.

    Source: mean of the half-normal distribution; that the plug-in error of a calibrated model is far from 0: Kumar,
    Liang and Ma 2019, "Verified Uncertainty Calibration", section 4.
    """
    if len(probability) == 0:
        return float("nan")
    predicted = probability.astype(np.float64)
    variance = np.bincount(equal_count_bins(probability, bins), predicted * (1 - predicted), bins)
    return float(np.sqrt(2 * variance / np.pi).sum() / len(probability))


class CurvePoint(NamedTuple):
    """One bin of a reliability curve."""

    predicted: float
    """Mean predicted probability."""
    observed: float
    """Share of label 1."""
    rows: int
    """Number of predictions in the bin."""


def reliability_curve(label: np.ndarray, probability: np.ndarray, bins: int = BINS) -> list[CurvePoint]:
    """Compute the mean predicted and observed rate of each equal-count bin; empty bins are left out.

    Args:
        label: [N], 0 or 1.
        probability: [N].
        bins: Number of bins.

    Returns:
        Points in the order of the predicted rate; on the diagonal = calibrated.
    """
    which = equal_count_bins(probability, bins)
    rows = np.bincount(which, minlength=bins)
    predicted = np.bincount(which, probability.astype(np.float64), bins)
    observed = np.bincount(which, label.astype(np.float64), bins)
    return [
        CurvePoint(float(predicted[i] / rows[i]), float(observed[i] / rows[i]), int(rows[i]))
        for i in np.flatnonzero(rows)
    ]


MetricFunction = Callable[[np.ndarray, np.ndarray, np.ndarray], float]

FUNCTIONS: Mapping[str, MetricFunction] = {
    "auc": lambda label, probability, user: auc(label, probability),
    "gauc": gauc,
    "logloss": lambda label, probability, user: logloss(label, probability),
    "ece": lambda label, probability, user: ece(label, probability),
    "nce": lambda label, probability, user: nce(label, probability),
}
"""Metric -> function of label [N], probability [N] and user [N]; the same names as `METRICS`."""
