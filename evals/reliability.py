"""Reliability curves of the report: observed against predicted rate, and the same before calibration."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from evals.evaluate import Scores
from evals.figures import Scale, scale, tick_texts
from evals.metrics import BINS, ece, reliability_curve
from evals.words import fixed, signed


def calibration_curves(
    scores: Scores, segment: str = "all", bins: int = BINS
) -> dict[str, list[tuple[float, float, int]]]:
    """Compute the points of every arm's reliability curve, for `ReportContext.calibration`.

    Args:
        scores: Predictions on the test rows.
        segment: Name of the segment.
        bins: Number of equal-count bins.

    Returns:
        Arm -> (predicted, observed, predictions) over all seeds together, so a row counts once per seed.
    """
    chosen = scores.segments[segment]
    label = np.tile(scores.label[chosen], scores.seeds)
    return {
        arm: [
            (p.predicted, p.observed, p.rows) for p in reliability_curve(label, probabilities[:, chosen].ravel(), bins)
        ]
        for arm, probabilities in scores.probabilities.items()
    }


@dataclass(frozen=True)
class Uncalibrated:
    """An arm's predictions on the test rows before they were calibrated."""

    points: Sequence[tuple[float, float, int]]
    """Its reliability curve: predicted, observed, predictions."""
    ece: float
    """Its calibration error, averaged over seeds."""


def before_calibration(scores: Scores | None) -> dict[str, Uncalibrated]:
    """Compute what a report shows of predictions before calibration; of no arm without scores."""
    if scores is None:
        return {}
    chosen, curves = scores.segments["all"], calibration_curves(scores)
    return {
        arm: Uncalibrated(curves[arm], float(np.mean([ece(scores.label[chosen], one[chosen]) for one in of_arm])))
        for arm, of_arm in scores.probabilities.items()
    }


@dataclass(frozen=True)
class Curve:
    """One arm's reliability curve."""

    arm: str
    """Name of the arm."""
    points: tuple[tuple[float, float], ...]
    """Predicted (percent from the left) and observed (percent from the bottom)."""
    lollipops: tuple[tuple[float, float], ...]
    """Predicted (percent from the left) and observed minus predicted (percent from the bottom of its own axis)."""
    widest: str
    """The largest gap between observed and predicted, formatted."""
    table: tuple[tuple[str, str, str, str], ...]
    """Predicted, observed, gap and number of predictions of each bin, formatted."""
    before: tuple[tuple[float, float], ...] = ()
    """The points before calibration; empty if the arm is not calibrated."""
    ece_before: str = ""
    """The calibration error before calibration, formatted."""


@dataclass(frozen=True)
class Calibration:
    """Reliability curves of all arms on shared axes."""

    curves: tuple[Curve, ...]
    """One per arm."""
    ticks: tuple[tuple[float, str], ...]
    """Position in percent and text of the ticks of the predicted and the observed rate."""
    gap_ticks: tuple[tuple[float, str], ...]
    """Position in percent and text of the ticks of observed minus predicted."""
    gap_zero: float
    """Position of zero gap, in percent."""


def calibration(
    curves: Mapping[str, Sequence[tuple[float, float, int]]],
    arms: Sequence[str],
    before: Mapping[str, Uncalibrated] | None = None,
) -> Calibration:
    """Lay out reliability curves.

    Args:
        curves: Arm -> points of predicted rate, observed rate and predictions.
        arms: Arms in display order; those without a curve are left out.
        before: Arm -> the same before calibration, of arms that are calibrated.
    """
    known, before = {arm: curves[arm] for arm in arms if curves.get(arm)}, before or {}
    points = [point for of_arm in known.values() for point in of_arm]
    drawn = [*points, *(point for arm in known if arm in before for point in before[arm].points)]
    inner = scale([0.0, *(max(predicted, observed) for predicted, observed, _ in drawn)], padding=0.0)
    axis = Scale(0.0, inner.high * 1.04, inner.ticks)
    widest = max((abs(observed - predicted) for predicted, observed, _ in points), default=0.1)
    gaps = scale([-widest, widest], ticks=4, padding=0.1)
    return Calibration(
        curves=tuple(_curve(arm, of_arm, axis, gaps, before.get(arm)) for arm, of_arm in known.items()),
        ticks=tick_texts(axis),
        gap_ticks=tick_texts(gaps, sign=True),
        gap_zero=gaps.at(0.0),
    )


def _curve(
    arm: str, points: Sequence[tuple[float, float, int]], axis: Scale, gaps: Scale, before: Uncalibrated | None
) -> Curve:
    widest = max((observed - predicted for predicted, observed, _ in points), key=abs)
    return Curve(
        arm=arm,
        points=tuple((axis.at(predicted), axis.at(observed)) for predicted, observed, _ in points),
        lollipops=tuple((axis.at(predicted), gaps.at(observed - predicted)) for predicted, observed, _ in points),
        widest=signed(widest),
        table=tuple(
            (fixed(predicted), fixed(observed), signed(observed - predicted), f"{rows:,}")
            for predicted, observed, rows in points
        ),
        before=tuple((axis.at(predicted), axis.at(observed)) for predicted, observed, _ in before.points)
        if before
        else (),
        ece_before=fixed(before.ece) if before else "",
    )
