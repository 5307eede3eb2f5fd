"""Geometry of the report's figures: converts numbers to percentages of a drawing, which the template fills.

Every drawing is inline SVG with coordinates in percent: it fits a phone and a wide screen without shrinking its text,
takes its colours from the page (light, dark, print) and needs no script and no file.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from evals.checks import gain_of
from evals.conclusion import claims
from evals.evaluate import Scores
from evals.metrics import BINS, METRICS, reliability_curve
from evals.words import (
    CONSTANT,
    Verdict,
    compared,
    fixed,
    interval,
    segment_name,
    signed,
    verdict_on,
    whose,
    without_interval,
)


@dataclass(frozen=True)
class Scale:
    """A linear axis."""

    low: float
    """Value at 0%."""
    high: float
    """Value at 100%."""
    ticks: tuple[float, ...]
    """Round values within."""

    def at(self, value: float) -> float:
        """Return the position of a value, in percent of the axis."""
        return round(100 * (value - self.low) / (self.high - self.low), 3)


@dataclass(frozen=True)
class Line:
    """One interval of a forest plot."""

    arm: str
    """Name of the arm."""
    gain: str
    """Formatted mean."""
    interval: str
    """Formatted low and high."""
    verdict: Verdict
    """What may be claimed."""
    at: tuple[float, float, float] | None
    """Low, mean and high in percent of the axis; None without an interval."""


@dataclass(frozen=True)
class Forest:
    """Gains over one control, by segment, on an axis shared by all controls of the metric."""

    control: str
    """The control arm."""
    groups: tuple[tuple[str, tuple[Line, ...]], ...]
    """Segments and their lines."""
    zero: float
    """Position of zero gain, in percent."""
    ticks: tuple[tuple[float, str], ...]
    """Position in percent and text of each tick."""


def scale(values: Sequence[float], ticks: int = 5, padding: float = 0.05) -> Scale:
    """Make an axis that holds all values.

    Args:
        values: The values to show; without any, the axis goes from 0 to 1.
        ticks: Approximate number of ticks.
        padding: Space on both sides, as a share of the range.

    Returns:
        An axis whose ticks are 1, 2 or 5 times a power of ten apart.
    """
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    if high - low < 1e-9:
        low, high = low - 0.001, high + 0.001
    step = (high - low) / ticks
    power = 10.0 ** math.floor(math.log10(step))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= step * 0.999)
    room = (high - low) * padding
    first, last = math.ceil((low - room) / step), math.floor((high + room) / step)
    return Scale(low - room, high + room, tuple(round(i * step, 12) for i in range(first, last + 1)))


def _ticks(axis: Scale, sign: bool = False, every: int = 1) -> tuple[tuple[float, str], ...]:
    """Return position in percent and text of every tick; only every `every`th tick, counted from 0, has a text."""
    step = min((b - a for a, b in zip(axis.ticks, axis.ticks[1:], strict=False)), default=1.0)
    digits = max(0, -math.floor(math.log10(step * every) + 1e-9))
    texts = ["0" if tick == 0 else signed(tick, digits) if sign else fixed(tick, digits) for tick in axis.ticks]
    return tuple(
        (axis.at(tick), "" if round(tick / step) % every else text)
        for tick, text in zip(axis.ticks, texts, strict=True)
    )


def forests(
    result: Mapping[str, Any], metric: str, arms: Sequence[str], beside: Sequence[Mapping[str, Any]] = ()
) -> list[Forest]:
    """Lay out the gains of one metric over every control, except wrong knowledge and the constant, which are checks.

    Args:
        result: What `evals.evaluate.evaluate` returned.
        metric: Name of the metric.
        arms: Arms in display order; the constant gets no line, because it would stretch the axis.
        beside: Results shown beside this one, on the same axis.

    Returns:
        One forest plot per control, all on one axis.
    """
    axis = scale([0.0, *(value for one in (result, *beside) for value in _bounds(one, metric))], ticks=7)
    lines = [arm for arm in arms if arm != CONSTANT]
    return [
        Forest(
            control=control,
            groups=tuple(
                (
                    segment,
                    tuple(
                        _line(
                            arm, gain_of(result, arm, control, segment, metric), axis, METRICS[metric].higher_is_better
                        )
                        for arm in lines
                        if control in result["gains"].get(arm, {})
                    ),
                )
                for segment in result["segments"]
            ),
            zero=axis.at(0.0),
            ticks=_ticks(axis, sign=True, every=2),
        )
        for control in compared(result["controls"])
        if any(control in result["gains"].get(arm, {}) for arm in lines)
    ]


def _bounds(result: Mapping[str, Any], metric: str) -> list[float]:
    """Return the ends of all drawn intervals."""
    gains = (
        gain_of(result, arm, control, segment, metric)
        for arm, by_control in result["gains"].items()
        for control in compared(by_control)
        for segment in result["segments"]
        if arm != CONSTANT and control in result["controls"]
    )
    return [value for gain in gains for value in (gain["low"], gain["high"]) if value is not None]


def _line(arm: str, gain: Mapping[str, float | None], axis: Scale, better: bool) -> Line:
    low, mean, high = gain["low"], gain["mean"], gain["high"]
    at = None if low is None or mean is None or high is None else (axis.at(low), axis.at(mean), axis.at(high))
    return Line(arm, signed(mean), interval(gain), verdict_on(gain, better), at)


def headline(result: Mapping[str, Any], subject: str | None) -> list[dict[str, Any]]:
    """Return the main arm's AUC gains at the top of the report: over each control, overall and cold with knowledge.

    A gain that the conclusion does not claim (because wrong texts do as well, or the base does not beat the constant)
    is not marked as better here either.
    """
    if subject is None:
        return []
    cards, claimed = [], claims(result)
    for forest in forests(result, "auc", [subject]):
        for segment, lines in forest.groups:
            if segment in ("all", "cold_with_knowledge") and lines:
                counts = result["segments"][segment]
                where = {"segment": segment_name(segment), "control": forest.control, "rows": counts["rows"]}
                about = {"whose": whose(counts), "why": without_interval(counts)}
                line = lines[0]
                if line.verdict == "better" and (segment, forest.control) not in claimed:
                    line = replace(line, verdict="none")
                cards.append({**where, **about, "line": line, "zero": forest.zero})
    return sorted(cards, key=lambda card: card["segment"])


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


def calibration(curves: Mapping[str, Sequence[tuple[float, float, int]]], arms: Sequence[str]) -> Calibration:
    """Lay out reliability curves.

    Args:
        curves: Arm -> points of predicted rate, observed rate and predictions.
        arms: Arms in display order; those without a curve are left out.
    """
    known = {arm: curves[arm] for arm in arms if curves.get(arm)}
    points = [point for of_arm in known.values() for point in of_arm]
    inner = scale([0.0, *(max(predicted, observed) for predicted, observed, _ in points)], padding=0.0)
    axis = Scale(0.0, inner.high * 1.04, inner.ticks)
    widest = max((abs(observed - predicted) for predicted, observed, _ in points), default=0.1)
    gaps = scale([-widest, widest], ticks=4, padding=0.1)
    return Calibration(
        curves=tuple(_curve(arm, of_arm, axis, gaps) for arm, of_arm in known.items()),
        ticks=_ticks(axis),
        gap_ticks=_ticks(gaps, sign=True),
        gap_zero=gaps.at(0.0),
    )


def _curve(arm: str, points: Sequence[tuple[float, float, int]], axis: Scale, gaps: Scale) -> Curve:
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
    )


def strips(result: Mapping[str, Any], metric: str, arms: Sequence[str]) -> dict[str, dict[str, list[float]]]:
    """Place every seed's value of a metric on one axis per segment; leave out the constant, which is far from the rest.

    Returns:
        Segment -> arm -> positions in percent of the axis, one per seed.
    """
    out: dict[str, dict[str, list[float]]] = {}
    arms = [arm for arm in arms if arm != CONSTANT]
    for segment in result["segments"]:
        values = {arm: [v for v in result["arms"][arm][segment][metric]["values"] if v is not None] for arm in arms}
        axis = scale([value for arm in arms for value in values[arm]], padding=0.08)
        out[segment] = {arm: [axis.at(value) for value in values[arm]] for arm in arms}
    return out
