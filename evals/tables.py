"""Tables of a comparison as rows of text, for the command line and Prefect's artifacts."""

from collections.abc import Iterator, Mapping
from typing import Any

from evals.checks import checks, gain_of
from evals.conclusion import subject_of
from evals.words import CONSTANT, compared, segment_name, whose, without_interval

Rows = list[dict[str, str]]
OTHERS = {"gauc": "GAUC", "logloss": "LogLoss"}
CALIBRATION = "ECE (by chance)"
SHOWN = {"all": "all test rows", "cold_with_knowledge": "cold test rows with knowledge"}
"""Segments whose gains are printed."""


def tables(result: Mapping[str, Any]) -> Iterator[tuple[str, Rows]]:
    """Yield titles and rows of all tables of a comparison: first the configured split, then rolling time.

    Args:
        result: Result of a training run.
    """
    rolling = result.get("rolling")
    for of, name in [
        (result, "configured split: " if rolling else ""),
        *([(rolling, "rolling time: ")] * bool(rolling)),
    ]:
        yield f"{name}arms on all test rows: mean over seeds", arm_rows(of)
        for segment in (segment for segment in SHOWN if segment in of["segments"]):
            yield f"{name}{gain_title(of, segment)}", gain_rows(of, segment)
        yield f"{name}checks before a gain is claimed, 95% intervals", check_rows(of)


def gain_title(result: Mapping[str, Any], segment: str = "all") -> str:
    """Return the title of a table of gains, with the users behind its intervals, or the reason why it has none."""
    counts = result["segments"][segment]
    why = without_interval(counts)
    intervals = f"no intervals ({why})" if why else "95% intervals"
    rows = SHOWN.get(segment, segment_name(segment))
    return f"AUC gains on {rows}, {intervals}: {counts['rows']:,} rows, {whose(counts)}"


def arm_rows(result: Mapping[str, Any]) -> Rows:
    """Return one row per arm: metrics on all test rows, and AUC on cold rows with knowledge; means over seeds."""
    return [
        {
            "arm": arm,
            "AUC": _with_spread(of["all"]["auc"]),
            **{name: _number(of["all"][metric]["mean"]) for metric, name in OTHERS.items()},
            CALIBRATION: _with_floor(of["all"]["ece"]),
            "AUC, cold with knowledge": _number(of["cold_with_knowledge"]["auc"]["mean"])
            if "cold_with_knowledge" in of
            else "",
        }
        for arm, of in result["arms"].items()
    ]


def gain_rows(result: Mapping[str, Any], segment: str = "all") -> Rows:
    """Return one row per arm with a trained control: its AUC gains over base and facts, with 95% intervals.

    Wrong knowledge and the constant are checks (`check_rows`).
    """
    controls = compared(result["controls"])
    return [
        {"arm": arm, **{f"against {control}": _gain(result, arm, control, segment) for control in controls}}
        for arm in result["arms"]
        if arm != CONSTANT and compared(result["gains"].get(arm, {}))
    ]


def check_rows(result: Mapping[str, Any]) -> Rows:
    """Return one row per comparison that must hold before a gain is claimed."""
    return [
        {
            "check": f"{check.what}, {segment_name(check.segment)}",
            "difference": check.gain,
            "interval": check.interval,
            "holds": "yes" if check.verdict == "better" else "not shown",
        }
        for check in checks(result, subject_of(list(result["arms"]), result["controls"]))
    ]


def _gain(result: Mapping[str, Any], arm: str, control: str, segment: str) -> str:
    if control not in result["gains"].get(arm, {}):
        return ""
    auc = gain_of(result, arm, control, segment, "auc")
    if auc["mean"] is None:
        return ""
    if auc["low"] is None:
        return f"{auc['mean']:+.4f}"
    return f"{auc['mean']:+.4f} [{auc['low']:+.4f}, {auc['high']:+.4f}]"


def _with_spread(values: Mapping[str, float | None]) -> str:
    mean, spread = _number(values["mean"]), _number(values["sd"])
    return f"{mean} ± {spread}" if spread else mean  # one seed has no spread


def _with_floor(values: Mapping[str, float | None]) -> str:
    mean, floor = _number(values["mean"]), _number(values.get("floor"))
    return f"{mean} ({floor})" if floor else mean  # older results have no floor


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"
