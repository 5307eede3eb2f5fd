"""Geometry of the report's figures: converts numbers to percentages of a drawing, which the template fills.

Every drawing is inline SVG with coordinates in percent: it fits a phone and a wide screen without shrinking its text,
takes its colours from the page (light, dark, print) and needs no script and no file.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from evals.checks import gain_of
from evals.conclusion import claims
from evals.metrics import METRICS
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


def tick_texts(axis: Scale, sign: bool = False, every: int = 1) -> tuple[tuple[float, str], ...]:
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
            ticks=tick_texts(axis, sign=True, every=2),
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
