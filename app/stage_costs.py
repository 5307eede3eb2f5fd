"""What the stages of a refresh cost at a number of users: measured by `benchmarks/growth.py`, and beyond."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MEASURED = Path(__file__).with_name("capacity.json")
"""CPU seconds and peak memory of each stage by users, and bytes a row: `benchmarks/capacity_costs.py` writes it."""
EVENTS_A_USER, USERS_AN_ITEM = 9.5, 20
"""Of the data that was measured."""
BY_EVENTS = ("load", "samples")
"""Stages whose cost goes with the events; that of the others goes with the rows of knowledge."""
REFRESHED = ("load", "plan", "ask", "encode", "publish")
STAGES = (*REFRESHED, "samples", "refresh_1%")
SMALL = 0.01
"""Share of the users that had changed in `refresh_1%`."""


@dataclass(frozen=True)
class Stage:
    """Cost of one stage at a number of users."""

    name: str
    """The stage."""
    cpu_seconds: float
    """CPU time."""
    peak_gib: float
    """Highest memory of its process."""
    formula: str
    """How the CPU time was found."""
    measured: bool
    """Whether this number of users lies within the measured ones."""


def read_measured() -> dict[str, Any]:
    """Read the measured costs."""
    return json.loads(MEASURED.read_text(encoding="utf-8"))


def stage_at(name: str, users: float, by_users: Mapping[int, Mapping[str, float]]) -> Stage:
    """Compute the cost of a stage: on the curve through the two measured sizes nearest to the users.

    Between and beyond them cost = a * users ** e. Beyond the largest, e is at least 1 for CPU time, because a smaller
    one is that of fixed costs, and memory grows by the line through the two. Below the smallest, that size is taken.

    Args:
        name: The stage.
        users: Number of users, or of those with as many events or rows in the data that was measured.
        by_users: Measured number of users -> cpu_seconds and peak_gib.

    Example:
        >>> sizes = {10: {"cpu_seconds": 2.0, "peak_gib": 1.0}, 100: {"cpu_seconds": 20.0, "peak_gib": 1.9}}
        >>> beyond = stage_at("load", 1000, sizes)
        >>> round(beyond.cpu_seconds, 6), round(beyond.peak_gib, 6), beyond.measured
        (200.0, 10.9, False)
    """
    sizes = sorted(by_users)
    if users <= sizes[0]:
        found = by_users[sizes[0]]
        return Stage(name, found["cpu_seconds"], found["peak_gib"], f"as at {sizes[0]:,} users", True)
    high = next((size for size in sizes if size >= users), sizes[-1])
    low = sizes[sizes.index(high) - 1]
    first, last = by_users[low], by_users[high]
    spent = max(last["cpu_seconds"], 1e-3)
    exponent = math.log(spent / max(first["cpu_seconds"], 1e-3)) / math.log(high / low)
    if users > high:
        exponent = max(exponent, 1.0)
    peak = last["peak_gib"] + (last["peak_gib"] - first["peak_gib"]) * (users - high) / (high - low)
    words = f"{spent:.1f} s at {high:,} users x ({users:,.0f} / {high:,})^{exponent:.2f}"
    return Stage(name, spent * (users / high) ** exponent, peak, words, users <= sizes[-1])


def stages_at(rows: float, events: float, sizes: Mapping[str, Mapping[str, Mapping[str, float]]]) -> tuple[Stage, ...]:
    """Compute the cost of every stage that was measured at two sizes or more.

    Args:
        rows: Rows of knowledge: users and items.
        events: Number of events.
        sizes: Measured number of users -> stage -> cpu_seconds and peak_gib.
    """
    by_events, by_rows = events / EVENTS_A_USER, rows / (1 + 1 / USERS_AN_ITEM)
    curves = {name: {int(users): of[name] for users, of in sizes.items() if name in of} for name in STAGES}
    return tuple(
        stage_at(name, by_events if name in BY_EVENTS else by_rows, curve)
        for name, curve in curves.items()
        if len(curve) > 1
    )


def refresh_of(share: float, first: float, small: float) -> float:
    """Compute the CPU seconds of a refresh after a share of the users changed.

    On the line through the two that were measured: after 1% had changed, and the first refresh, which asks everything.
    Below 1%, that of 1%.

    Example:
        >>> refresh_of(0.01, first=109.0, small=10.0), refresh_of(0.05, 109.0, 10.0), refresh_of(1.0, 109.0, 10.0)
        (10.0, 14.0, 109.0)
    """
    return small + max(first - small, 0.0) * max(share - SMALL, 0.0) / (1 - SMALL)
