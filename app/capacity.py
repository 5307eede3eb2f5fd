"""What a number of users takes: tokens, machines, memory, disk and money, from measured costs and stated assumptions.

Costs of stages were measured by `benchmarks/growth.py`, on one core of a shared machine with an engine that answers at
once; how fast a model answers and what it costs is an assumption that the caller can replace.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from base.faults import WrongUse

MEASURED = Path(__file__).with_name("capacity.json")
"""CPU seconds and peak memory of each stage by users, and bytes a row: `benchmarks/capacity_costs.py` writes it."""
DAY, GIB = 86_400.0, 2.0**30
CHARACTERS_A_TOKEN = 4
"""Of English text; an answer is kept as it came, and again as the text that is encoded."""
FIRST = ("load", "plan", "ask", "encode", "publish", "samples")
"""Stages of a first refresh and the samples of a training run."""


@dataclass(frozen=True)
class Model:
    """How fast a model answers, and what it costs."""

    requests_per_second: float
    """Of one GPU that is busy; 0 for a model that is paid by tokens alone."""
    why: str
    """Where the figure is from."""


MODELS = {
    "8b-h100": Model(30.0, "an 8B model in BF16 on one H100: 25 to 36 of 500 + 150 tokens"),
    "8b-h100-short": Model(220.0, "the same in FP8, the shared part of prompts first and cached, 64 tokens an answer"),
    "paid-by-token": Model(0.0, "no GPU of your own"),
}
"""Assumptions that were not measured here; `--requests-per-second` replaces them."""


@dataclass(frozen=True)
class Shop:
    """What is asked about, how often, and how long it is."""

    users: int
    """Number of users."""
    items: int
    """Number of items."""
    changed: float
    """Share of users and items that is asked about again each day."""
    prompt_tokens: int
    """Tokens of a prompt."""
    answer_tokens: int
    """Tokens of an answer."""
    width: int
    """Numbers in a vector, in half precision."""

    @property
    def rows(self) -> int:
        """Return the rows of the first fill: one for each user and item."""
        return self.users + self.items


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
    """How it was found."""
    measured: bool
    """Whether this number of users lies within the measured ones."""


@dataclass(frozen=True)
class Asking:
    """What the answers of some rows take."""

    rows: float
    """Rows that are asked about."""
    input_tokens: float
    """Tokens read."""
    output_tokens: float
    """Tokens written."""
    gpu_hours: float
    """Hours of one GPU; 0 for a model that is paid by tokens."""
    cost: float
    """GPU hours and tokens by their prices."""


def asking(rows: float, shop: Shop, rate: float, prices: Mapping[str, float]) -> Asking:
    """Compute what it takes to ask about some rows.

    Args:
        rows: Their number.
        shop: Lengths of prompts and answers.
        rate: Requests a second of one GPU; 0 for none.
        prices: `gpu_hour`, `input` and `output` (a million tokens); missing ones are 0.

    Example:
        >>> shop = Shop(users=0, items=0, changed=0, prompt_tokens=500, answer_tokens=150, width=384)
        >>> asking(7200, shop, rate=2, prices={"gpu_hour": 3.0}).cost
        3.0
    """
    read, written = rows * shop.prompt_tokens, rows * shop.answer_tokens
    hours = rows / rate / 3600 if rate else 0.0
    per_token = (read * prices.get("input", 0.0) + written * prices.get("output", 0.0)) / 1e6
    return Asking(rows, read, written, hours, hours * prices.get("gpu_hour", 0.0) + per_token)


def read_measured() -> dict[str, Any]:
    """Read the measured costs."""
    return json.loads(MEASURED.read_text(encoding="utf-8"))


def stage_at(name: str, users: int, by_users: Mapping[int, Mapping[str, float]]) -> Stage:
    """Compute the cost of a stage: on the curve through the two measured sizes nearest to the users.

    Between and beyond them cost = a * users ** e, beyond them with e at least 1 for CPU time; below the smallest, that
    size is taken as it is.

    Args:
        name: The stage.
        users: Number of users.
        by_users: Measured number of users -> cpu_seconds and peak_gib.
    """
    sizes = sorted(by_users)
    if users <= sizes[0]:
        found = by_users[sizes[0]]
        return Stage(name, found["cpu_seconds"], found["peak_gib"], f"as at {sizes[0]:,} users", True)
    upper = next((size for size in sizes if size >= users), sizes[-1])
    low, high = sizes[sizes.index(upper) - 1], upper
    values, exponents = [], []
    for kind in ("cpu_seconds", "peak_gib"):
        first, last = (max(by_users[size][kind], 1e-3) for size in (low, high))
        exponents.append(math.log(last / first) / math.log(high / low))
        if users > high and kind == "cpu_seconds":
            exponents[-1] = max(exponents[-1], 1.0)  # less is a share of fixed costs, which grows no smaller
        values.append(last * (users / high) ** exponents[-1])
    words = f"{by_users[high]['cpu_seconds']:.1f} s at {high:,} users x ({users:,} / {high:,})^{exponents[0]:.2f}"
    return Stage(name, values[0], values[1], words, users <= sizes[-1])


def storage_bytes(shop: Shop, bytes_a_row: float, answer_tokens_measured: float) -> dict[str, float]:
    """Compute the bytes of a store.

    Args:
        shop: Rows, lengths and the width of vectors.
        bytes_a_row: Measured bytes of a row without its vector.
        answer_tokens_measured: Tokens of an answer where they were measured.
    """
    longer = 2 * CHARACTERS_A_TOKEN * max(shop.answer_tokens - answer_tokens_measured, 0.0)
    return {"answers and lineage": shop.rows * (bytes_a_row + longer), "vectors": shop.rows * shop.width * 2.0}


def capacity(
    shop: Shop, rate: float, prices: Mapping[str, float], memory_gib: float, measured: Mapping[str, Any]
) -> dict[str, Any]:
    """Compute all that a number of users takes.

    Args:
        shop: What is asked about.
        rate: Requests a second of one GPU; 0 for a model that is paid by tokens.
        prices: See `asking`.
        memory_gib: Memory of one machine.
        measured: From `read_measured`.

    Returns:
        first and daily (`Asking`), gpus_busy, stages (`Stage`), storage in bytes, over: what exceeds one machine.

    Raises:
        WrongUse: A number makes no sense.
    """
    if shop.users < 1 or shop.items < 0 or not 0 <= shop.changed <= 1 or rate < 0:
        raise WrongUse("capacity: give at least one user, a share from 0 to 1, and no negative numbers")
    first, daily = (asking(rows, shop, rate, prices) for rows in (shop.rows, shop.changed * shop.rows))
    curves = {
        name: {int(size): found[name] for size, found in measured["sizes"].items() if name in found}
        for name in (*FIRST, "refresh_1%")
    }
    stages = [stage_at(name, shop.users, curve) for name, curve in curves.items() if len(curve) > 1]
    over = [f"{one.name} needs {one.peak_gib:.0f} GiB" for one in stages if one.peak_gib > memory_gib]
    return {
        "first": first,
        "daily": daily,
        "gpus_busy": daily.gpu_hours / 24,
        "stages": stages,
        "storage": storage_bytes(shop, measured["bytes_a_row"], measured["answer_tokens"]),
        "over": over,
    }
