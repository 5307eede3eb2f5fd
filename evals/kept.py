"""How much of a gain is kept: one arm's gain over a control, divided by another's, with an interval.

    kept = (m(arm) - m(control)) / (m(whole) - m(control))          m = AUC, mean over seeds

Both gains come from the same drawn users and seeds, as in `evals/intervals.py`, so what is easy or hard for all three
cancels out. A share of a gain that may be 0 is no number: it has an interval only if the whole gain has one above 0.
Source: Efron and Tibshirani 1993, "An Introduction to the Bootstrap", chapter 25 (ratios, percentile interval).
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from evals.evaluate import Scores
from evals.intervals import Draws, draw, effective_users, replicate_gains, resampled_metrics, user_interval

METRIC = "auc"


def kept(scores: Scores, found: Mapping[str, Any], arm: str, whole: str, control: str) -> dict[str, dict[str, Any]]:
    """Compute the share of a gain that an arm keeps, in every segment.

    Args:
        scores: Predictions of the three arms on the same rows.
        found: What `evals.evaluate.evaluate` returned for them; its draws are used again.
        arm: The arm that may keep it.
        whole: The arm whose gain is the whole.
        control: The arm over which both gain.

    Returns:
        Segment -> `mean`, `low`, `high`, and `why` there is no interval; None where undefined.
    """
    user, users = scores.user_codes()
    draws = draw(users, scores.seeds, found["bootstrap"]["replicates"], found["bootstrap"]["seed"])
    out: dict[str, dict[str, Any]] = {}
    for segment, chosen in scores.segments.items():
        if (why := found["segments"][segment]["no_interval"]) is not None:
            out[segment] = {"mean": None, "low": None, "high": None, "why": why}
            continue
        label, of = scores.label[chosen], user[chosen]
        again = {
            name: _resampled(label, scores.probabilities[name][:, chosen], of, draws) for name in (arm, whole, control)
        }
        of_arm, of_whole = (
            (
                found["gains"][name][control][segment][METRIC]["mean"],
                replicate_gains(again[name], again[control], draws),
            )
            for name in (arm, whole)
        )
        effective = min(effective_users(np.bincount(of[label == value])) for value in (0, 1))
        out[segment] = share(*of_arm, *of_whole, effective)
    return out


def _resampled(label: np.ndarray, predicted: np.ndarray, user: np.ndarray, draws: Draws) -> np.ndarray:
    """Return the metric of every seed under every replicate: [n], [S, n], [n] -> [S, R]."""
    return np.stack([resampled_metrics(label, one, user, draws.users)[METRIC] for one in predicted])


def share(part: float, parts: np.ndarray, whole: float, wholes: np.ndarray, effective: float) -> dict[str, Any]:
    """Divide a gain by the whole gain.

    Args:
        part: Gain of the arm.
        parts: [R] the same in every replicate.
        whole: Gain of the whole.
        wholes: [R] the same in every replicate.
        effective: Number of equal users behind them.

    Returns:
        `mean`, `low`, `high` and `why`; no interval unless the interval of the whole gain lies above 0.

    Example:
        >>> gains = np.linspace(0.01, 0.03, 1001)
        >>> found = share(0.01, gains / 2, 0.02, gains, 1e9)
        >>> [round(found[name], 6) for name in ("mean", "low", "high")], found["why"]
        ([0.5, 0.5, 0.5], None)
    """
    mean = part / whole if whole > 0 else None
    least, _ = user_interval(wholes, whole, effective)
    if mean is None or not least > 0:
        return {"mean": mean, "low": None, "high": None, "why": "the whole gain may be 0"}
    low, high = user_interval(
        np.divide(parts, wholes, out=np.full(len(parts), np.nan), where=wholes > 0), mean, effective
    )
    return {"mean": mean, "low": low, "high": high, "why": None}
