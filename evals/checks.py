"""Gains, and the checks that must hold before a gain is claimed."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from evals.conclusion import TOLD, guards_of
from evals.metrics import METRICS
from evals.words import CONSTANT, Verdict, interval, signed, verdict_on, without_interval


def gain_of(result: Mapping[str, Any], arm: str, control: str, segment: str, metric: str) -> Mapping[str, float | None]:
    """Return one gain of a result, without its interval where there should be none (older results may have one).

    Args:
        result: What `evals.evaluate.evaluate` returned.
        arm: The arm.
        control: The control that the gain is over.
        segment: Name of the segment.
        metric: Name of the metric.

    Returns:
        mean, low and high.
    """
    gain = result["gains"][arm][control][segment][metric]
    if METRICS[metric].no_interval or without_interval(result["segments"][segment]):
        return {"mean": gain["mean"], "low": None, "high": None}
    return gain


@dataclass(frozen=True)
class Check:
    """One thing that must hold before a gain is claimed."""

    what: str
    """The comparison, in words."""
    segment: str
    """Name of the segment."""
    gain: str
    """Formatted mean with its metric."""
    interval: str
    """Formatted low and high, or the reason why there is no interval."""
    verdict: Verdict
    """`better` if the check holds."""


def checks(result: Mapping[str, Any], subject: str | None) -> list[Check]:
    """List what must hold before a gain is claimed: base beats a constant, the main arm beats wrong knowledge.

    Args:
        result: What `evals.evaluate.evaluate` returned.
        subject: The arm that the conclusion is about; None if there is none.

    Returns:
        The checks whose arms were trained, overall and on cold rows with knowledge.
    """
    found = []
    if CONSTANT in result["gains"].get("base", {}):
        found.append(_check(result, "base", CONSTANT, "all", "logloss"))
    against = result["gains"].get(subject, {}) if subject else {}
    for control in guards_of(subject or "", against):
        found += [_check(result, str(subject), control, name, "auc") for name in TOLD if name in result["segments"]]
    return found


def _check(result: Mapping[str, Any], arm: str, control: str, segment: str, metric: str) -> Check:
    gain, of = gain_of(result, arm, control, segment, metric), METRICS[metric]
    return Check(
        f"{arm} against {control}",
        segment,
        f"{signed(gain['mean'])} {of.label}",
        without_interval(result["segments"][segment]) or interval(gain),
        verdict_on(gain, of.higher_is_better),
    )
