"""What a number of users takes: tokens, machines, memory, disk and money, from measured costs and stated assumptions.

`stage_costs.py` has what was measured here; how fast a model answers is an assumption that the caller can replace.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.stage_costs import REFRESHED, Stage, refresh_of, stages_at
from base.faults import WrongUse
from llm_tasks.pipeline.budget import Prices

CHARACTERS_A_TOKEN = 4
"""Of English text. A prompt is kept once; an answer as it came, and again as the text that is encoded."""


@dataclass(frozen=True)
class Model:
    """How fast one GPU answers: an assumption."""

    slowest: float
    """Requests a second of a busy GPU; 0 for a model that is paid by tokens."""
    fastest: float
    """The same at best; figures that are not called best go by the slowest."""
    prompt_tokens: int
    """Tokens of a prompt at these rates."""
    answer_tokens: int
    """Tokens of an answer at these rates."""
    why: str
    """What the rates are of; empty where there are none."""


MODELS = {
    "8b-h100": Model(25.0, 36.0, 500, 150, "an 8B model in BF16 on one H100, by vLLM"),
    "8b-h100-short": Model(
        220.0, 220.0, 500, 64, "an 8B model in FP8 on one H100, the shared part of prompts first and cached"
    ),
    "paid-by-token": Model(0.0, 0.0, 500, 150, ""),
}
"""Assumptions that were not measured here."""


@dataclass(frozen=True)
class Shop:
    """What is asked about, how often, and how long it is."""

    users: int
    """Number of users."""
    items: int
    """Number of items."""
    events_a_user: float
    """Events of a user."""
    changed: float
    """Share of users and items that is asked about again each day."""
    prompt_tokens: int
    """Tokens of a prompt."""
    answer_tokens: int
    """Tokens of an answer."""
    width: int
    """Numbers in a vector."""

    @property
    def rows(self) -> int:
        """Return the rows of the first fill: one for each user and item."""
        return self.users + self.items


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
    """Hours of one GPU at its slowest rate; 0 for a model that is paid by tokens."""
    gpu_hours_at_best: float
    """The same at its fastest."""
    client_cpu_hours: float
    """CPU time of sending the requests."""
    cost: float
    """GPU hours at the slowest rate, and tokens, by their prices."""


@dataclass(frozen=True)
class Capacity:
    """All that a number of users takes."""

    shop: Shop
    """What is asked about."""
    model: Model
    """Who answers."""
    first: Asking
    """What asking about all rows takes."""
    daily: Asking
    """What asking about a day's changes takes."""
    gpus_busy: float
    """GPUs that are busy all day with a day's changes, at the slowest rate."""
    stages: tuple[Stage, ...]
    """What our own work takes."""
    first_cpu_seconds: float
    """CPU time of the first refresh."""
    daily_cpu_seconds: float
    """CPU time of a day's refresh."""
    storage: dict[str, float]
    """Bytes on disk."""
    over: tuple[str, ...]
    """What exceeds one machine, and what to do."""


def asking(
    rows: float, shop: Shop, model: Model, prices: Prices, gpu_hour: float = 0.0, request_cpu_seconds: float = 0.0
) -> Asking:
    """Compute what it takes to ask about some rows.

    The rates of a model hold for its own numbers of tokens; with others they change as the tokens, read or written, do.

    Args:
        rows: Their number.
        shop: Lengths of prompts and answers.
        model: How fast it answers.
        prices: Prices of tokens.
        gpu_hour: Price of an hour of one GPU.
        request_cpu_seconds: CPU time of one request.

    Example:
        >>> shop = Shop(100, 5, 9.5, changed=0.05, prompt_tokens=500, answer_tokens=150, width=384)
        >>> asking(90_000, shop, MODELS["8b-h100"], Prices(), gpu_hour=3.0).cost
        3.0
    """
    tokens = shop.prompt_tokens + shop.answer_tokens
    seconds = rows * tokens / (model.prompt_tokens + model.answer_tokens)
    hours, best = (seconds / rate / 3600 if rate else 0.0 for rate in (model.slowest, model.fastest))
    read, written = rows * shop.prompt_tokens, rows * shop.answer_tokens
    cost = hours * gpu_hour + prices.cost(round(read), round(written))
    return Asking(rows, read, written, hours, best, rows * request_cpu_seconds / 3600, cost)


def storage_bytes(shop: Shop, measured: Mapping[str, Any]) -> dict[str, float]:
    """Compute the bytes of a store with one encoder.

    Args:
        shop: Rows, lengths and the width of vectors.
        measured: bytes_a_row without vectors, at so many prompt_tokens and answer_tokens; disk_ratio: files on disk
            over what is alive.
    """
    prompt = max(shop.prompt_tokens - measured["prompt_tokens"], 0.0)
    answer = max(shop.answer_tokens - measured["answer_tokens"], 0.0)
    row = measured["bytes_a_row"] + CHARACTERS_A_TOKEN * (prompt + 2 * answer)
    answers, vectors = shop.rows * row, shop.rows * shop.width * 2.0
    return {
        "answers": answers,
        "vectors_float16": vectors,
        "on_disk": (answers + vectors) * measured["disk_ratio"],
        "vectors_float32": 2 * vectors,
    }


def capacity(
    shop: Shop, model: Model, prices: Prices, gpu_hour: float, memory_gib: float, measured: Mapping[str, Any]
) -> Capacity:
    """Compute all that a number of users takes.

    Args:
        shop: What is asked about.
        model: How fast it answers.
        prices: Prices of tokens.
        gpu_hour: Price of an hour of one GPU.
        memory_gib: Memory of one machine.
        measured: From `read_measured`.

    Raises:
        WrongUse: A number makes no sense.
    """
    if shop.users < 1 or shop.items < 0 or not 0 <= shop.changed <= 1 or shop.events_a_user < 0:
        raise WrongUse("capacity: give at least one user, a share from 0 to 1, and no negative numbers")
    first, daily = (
        asking(rows, shop, model, prices, gpu_hour, measured["request_cpu_seconds"])
        for rows in (shop.rows, shop.changed * shop.rows)
    )
    stages = stages_at(shop.rows, shop.users * shop.events_a_user, measured["sizes"])
    spent = {one.name: one.cpu_seconds for one in stages}
    whole = sum(spent.get(name, 0.0) for name in REFRESHED)
    busy, day = daily.gpu_hours / 24, refresh_of(shop.changed, whole, spent.get("refresh_1%", 0.0))
    over = tuple(_over(stages, day, busy, memory_gib))
    return Capacity(shop, model, first, daily, busy, stages, whole, day, storage_bytes(shop, measured), over)


def _over(stages: Sequence[Stage], day: float, busy: float, memory_gib: float) -> Iterator[str]:
    """Say what exceeds one machine, and what to do."""
    wide = max(stages, key=lambda one: one.peak_gib)
    if wide.peak_gib > memory_gib:
        parts = math.ceil(wide.peak_gib / memory_gib)
        names = ", ".join(f"{one.name} {one.peak_gib:,.0f}" for one in stages if one.peak_gib > memory_gib)
        yield (
            f"memory, GiB of {memory_gib:g}: {names}; a machine with {wide.peak_gib:,.0f} GiB, or {parts:,} parts of "
            "the users, each with its own knowflow.yaml and store"
        )
    if day > 86_400:
        parts = math.ceil(day / 86_400)
        yield f"time: a day's refresh takes {day / 3600:,.0f} hours of one core; {parts:,} such parts, side by side"
    if busy > 1:
        yield f"GPUs: {busy:,.1f} are busy all day; {math.ceil(busy):,} servers under engine.options.urls"
