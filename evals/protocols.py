"""What the report shows of each protocol: the configured split and, if it was run, rolling time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evals.checks import Check, checks
from evals.conclusion import subject_of
from evals.figures import Forest, forests, headline, strips
from evals.metrics import METRICS, Metric
from evals.words import CONSTANT

SPLIT = "Configured split"
ROLLING = "Rolling time"


@dataclass(frozen=True)
class Protocol:
    """One evaluation of the arms, laid out."""

    name: str
    """Its name; empty if it is the only one."""
    result: Mapping[str, Any]
    """What `evals.evaluate.evaluate` returned."""
    arms: Sequence[str]
    """Its arms in display order."""
    subject: str | None
    """The arm that it is about."""
    best: Mapping[str, Mapping[str, str | None]]
    """Segment -> metric -> the arm with the best mean."""
    cards: Sequence[Mapping[str, Any]]
    """The gains at the top of the report."""
    checks: Sequence[Check]
    """What must hold before a gain is claimed."""
    strips: Mapping[str, Mapping[str, Sequence[float]]]
    """Segment -> arm -> positions of the seeds' AUCs."""


@dataclass(frozen=True)
class Panel:
    """One forest plot and its protocol."""

    protocol: Protocol
    """The protocol of the gains."""
    plot: Forest
    """The gains over one control."""


def protocols_of(result: Mapping[str, Any], order: Sequence[str]) -> list[Protocol]:
    """Lay out every protocol of a result.

    Args:
        result: Result of a training run; `rolling` is the result of rolling time, if it was run.
        order: Arms in display order; other arms come last.

    Returns:
        One or two protocols.
    """
    rolling = result.get("rolling")
    if not rolling:
        return [_protocol("", result, order)]
    return [_protocol(SPLIT, result, order), _protocol(ROLLING, rolling, order)]


def panels_of(protocols: Sequence[Protocol]) -> dict[str, list[Panel]]:
    """Lay out all forest plots of each metric: protocols side by side, controls below each other, on one axis.

    Returns:
        Metric -> panels in reading order.
    """
    out = {}
    for metric in METRICS:
        beside = [protocol.result for protocol in protocols]
        plots = [forests(protocol.result, metric, protocol.arms, beside) for protocol in protocols]
        controls = list(dict.fromkeys(plot.control for of in plots for plot in of))
        out[metric] = [
            Panel(protocol, plot)
            for control in controls
            for protocol, of in zip(protocols, plots, strict=True)
            for plot in of
            if plot.control == control
        ]
    return out


def _protocol(name: str, result: Mapping[str, Any], order: Sequence[str]) -> Protocol:
    arms = [arm for arm in order if arm in result["arms"]]
    arms += [arm for arm in result["arms"] if arm not in arms]
    subject = subject_of(list(result["arms"]), result["controls"])
    return Protocol(
        name=name,
        result=result,
        arms=arms,
        subject=subject,
        best={s: {key: _best(result, arms, s, metric) for key, metric in METRICS.items()} for s in result["segments"]},
        cards=headline(result, subject),
        checks=checks(result, subject),
        strips=strips(result, "auc", arms),
    )


def _best(result: Mapping[str, Any], arms: Sequence[str], segment: str, metric: Metric) -> str | None:
    """Return the arm with the best mean of a metric; the constant is excluded, because its calibration is trivial."""
    means = {arm: result["arms"][arm][segment][metric.name]["mean"] for arm in arms if arm != CONSTANT}
    known = {arm: mean for arm, mean in means.items() if mean is not None}
    if not known:
        return None
    return (max if metric.higher_is_better else min)(known, key=lambda arm: known[arm])
