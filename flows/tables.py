"""Tables of a comparison, as rows of text: the command line and Prefect's artifacts show the same."""

from collections.abc import Mapping
from typing import Any

Rows = list[dict[str, str]]
OTHERS = {"gauc": "GAUC", "logloss": "LogLoss", "ece": "ECE"}


def arm_rows(result: Mapping[str, Any]) -> Rows:
    """One row an arm: its metrics on all test rows, and its AUC on cold rows with knowledge; means over seeds."""
    return [
        {
            "arm": arm,
            "AUC": _with_spread(of["all"]["auc"]),
            **{name: _number(of["all"][metric]["mean"]) for metric, name in OTHERS.items()},
            "AUC, cold with knowledge": _number(of["cold_with_knowledge"]["auc"]["mean"]),
        }
        for arm, of in result["arms"].items()
    ]


def gain_rows(result: Mapping[str, Any], segment: str = "all") -> Rows:
    """One row an arm that has a control beside it: its AUC gains over every control, with their 95% intervals."""
    return [
        {
            "arm": arm,
            **{f"against {control}": _gain(result, arm, control, segment) for control in result["controls"]},
        }
        for arm in result["arms"]
        if result["gains"].get(arm)
    ]


def _gain(result: Mapping[str, Any], arm: str, control: str, segment: str) -> str:
    gain = result["gains"].get(arm, {}).get(control)
    if gain is None or gain[segment]["auc"]["mean"] is None:
        return ""
    auc = gain[segment]["auc"]
    if auc["low"] is None:
        return f"{auc['mean']:+.4f}"
    return f"{auc['mean']:+.4f} [{auc['low']:+.4f}, {auc['high']:+.4f}]"


def _with_spread(values: Mapping[str, float | None]) -> str:
    mean, spread = _number(values["mean"]), _number(values["sd"])
    return f"{mean} ± {spread}" if spread else mean  # one seed has none


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"
