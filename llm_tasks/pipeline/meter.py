"""What a generation run says of itself while it runs: speed, cache, errors, money, time left."""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from engines.request import Answer
from llm_tasks.pipeline.budget import Prices


@dataclass(frozen=True)
class Reading:
    """The state of a run at one moment."""

    task: str
    """Name of the technique."""
    done: int
    """Calls that have come back."""
    total: int
    """Calls to be made."""
    errors: Mapping[str, int]
    """Calls that came back as an error, by kind."""
    input_tokens: int
    """Tokens of the prompts that have come back."""
    cached_tokens: int
    """Of these, computed before (prefix cache)."""
    output_tokens: int
    """Tokens of the answers."""
    seconds: float
    """Since the run began."""
    cost: float
    """By the prices of knowflow.yaml."""
    currency: str
    """Of the cost."""

    @property
    def what(self) -> str:
        """What is being done, as progress calls it."""
        return f"asking {self.task}"

    @property
    def rows_per_second(self) -> float:
        """Calls that came back, a second."""
        return self.done / max(self.seconds, 1e-9)

    @property
    def seconds_left(self) -> float | None:
        """Time to the end at this speed; None before the first call came back."""
        return (self.total - self.done) / self.rows_per_second if self.done else None

    def line(self) -> str:
        """Say it in one line, as a progress bar shows it."""
        seconds = max(self.seconds, 1e-9)
        parts = [
            f"{self.rows_per_second:,.1f} rows/s",
            f"{self.input_tokens / seconds:,.0f} tokens/s in",
            f"{self.output_tokens / seconds:,.0f} out",
        ]
        if self.cached_tokens:
            parts.append(f"{self.cached_tokens / max(self.input_tokens, 1):.0%} cached")
        if self.cost:
            parts.append(f"{self.cost:,.2f} {self.currency}")
        if self.errors:
            parts.append("errors: " + ", ".join(f"{count:,} {kind}" for kind, count in sorted(self.errors.items())))
        return ", ".join(parts)


Observe = Callable[[Reading], None]
"""Called now and then while a run goes on, and once at its end."""


def look_away(reading: Reading) -> None:
    """Observe nothing."""


@dataclass
class Meter:
    """Counts answers as they come."""

    task: str
    """Name of the technique."""
    total: int
    """Calls to be made."""
    prices: Prices
    """What tokens cost."""
    done: int = 0
    """Calls that have come back."""
    errors: Counter[str] = field(default_factory=Counter)
    """Calls that came back as an error, by kind."""
    input_tokens: int = 0
    """Tokens of the prompts."""
    cached_tokens: int = 0
    """Of these, computed before."""
    output_tokens: int = 0
    """Tokens of the answers."""
    begun: float = field(default_factory=time.monotonic)
    """When the run began."""

    def count(self, answer: Answer) -> float:
        """Count one answer; returns what it cost."""
        self.done += 1
        if answer.error is not None:
            self.errors[answer.error] += 1
        self.input_tokens += answer.input_tokens
        self.cached_tokens += answer.cached_tokens
        self.output_tokens += answer.output_tokens
        return self.prices.cost(answer.input_tokens, answer.output_tokens, answer.cached_tokens)

    def read(self) -> Reading:
        """Read it."""
        cost = self.prices.cost(self.input_tokens, self.output_tokens, self.cached_tokens)
        return Reading(
            self.task,
            self.done,
            self.total,
            dict(self.errors),
            self.input_tokens,
            self.cached_tokens,
            self.output_tokens,
            time.monotonic() - self.begun,
            cost,
            self.prices.currency,
        )
