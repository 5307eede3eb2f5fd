"""The metrics again, over many resamples of users at once: a user drawn twice counts every one of its rows twice.

All but the calibration error: it adds up sizes of gaps, and every resample adds noise of its own to each gap, so that
its replicates lie above the truth and their interval misses it.

No row is ever copied: a resample is a column of weights, and every metric is written as sums over users or over rows
in the order of their scores. `FUNCTIONS` of metrics.py on really repeated rows gives the same numbers (a test says so).
"""

from collections.abc import Iterator, Mapping

import numpy as np

from evals.metrics import METRICS, entropy, row_losses, user_aucs

RESAMPLED = tuple(name for name, metric in METRICS.items() if metric.no_interval is None)
"""Metrics that have an interval."""
CHUNK_CELLS = 2**17
"""Rows times resamples worked on at once: 1 MB of float64 an array, which stays in a core's cache."""


def resampled_metrics(
    label: np.ndarray, probability: np.ndarray, user: np.ndarray, weights: np.ndarray
) -> Mapping[str, np.ndarray]:
    """Every metric that has an interval, under every resample of users.

    Args:
        label: [N], 0 or 1.
        probability: [N].
        user: [N] int64 codes, 0 to U - 1.
        weights: [U, R] whole numbers: how often each user is in each resample.

    Returns:
        Metric -> [R] float64, NaN where a resample leaves it undefined.
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
    """Everything that adds up over a user's rows.

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
    """Rows in the order of their scores, sorted once; P positives and M negatives."""

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
        """Weighted number of (positive, negative) pairs in the right order, ties half; [U, C] -> [C].

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
