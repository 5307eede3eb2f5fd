"""Measure a generation run while it runs: speed, cache, errors, cost, time left."""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from engines.request import Answer
from llm_tasks.pipeline.budget import Prices

CUT_OFF = "length"
"""How an answer finishes that was cut off."""


@dataclass(frozen=True)
class Reading:
    """The state of a run at one moment."""

    task: str
    """Name of the technique."""
    done: int
    """Number of finished calls."""
    total: int
    """Number of calls to make."""
    errors: Mapping[str, int]
    """Number of calls that ended in an error, by kind."""
    input_tokens: int
    """Prompt tokens of the finished calls."""
    cached_tokens: int
    """Input tokens that the engine had computed before (prefix cache)."""
    output_tokens: int
    """Tokens of the answers."""
    seconds: float
    """Seconds since the first request was taken."""
    cost: float
    """Cost by the prices in knowflow.yaml."""
    currency: str
    """Currency of the cost."""
    cut_off: int = 0
    """Number of answers that were cut off at the maximum of tokens."""
    written: int = 0
    """Tokens written so far, those of unfinished answers included, as an engine that knows them says."""

    @property
    def what(self) -> str:
        """Return the label for progress reports."""
        return f"asking {self.task}"

    @property
    def rows_per_second(self) -> float:
        """Return the number of finished calls per second."""
        return self.done / max(self.seconds, 1e-9)

    @property
    def seconds_left(self) -> float | None:
        """Return the time left at this speed; None before the first call has finished."""
        return (self.total - self.done) / self.rows_per_second if self.done else None

    def line(self) -> str:
        """Return a one-line summary for a progress bar."""
        seconds = max(self.seconds, 1e-9)
        parts = [
            f"{self.rows_per_second:,.1f} rows/s",
            f"{self.input_tokens / seconds:,.0f} tokens/s in",
            f"{max(self.output_tokens, self.written) / seconds:,.0f} out",
        ]
        if not self.done and self.written:
            parts.append(f"{self.written:,} tokens written")
        if self.cached_tokens:
            parts.append(f"{self.cached_tokens / max(self.input_tokens, 1):.0%} cached")
        if self.cost:
            parts.append(f"{self.cost:,.2f} {self.currency}")
        if self.cut_off:
            parts.append(f"{self.cut_off:,} cut off")
        if self.errors:
            parts.append("errors: " + ", ".join(f"{count:,} {kind}" for kind, count in sorted(self.errors.items())))
        return ", ".join(parts)


Observe = Callable[[Reading], None]
"""Called from time to time during a run, and once at its end."""


def look_away(reading: Reading) -> None:
    """Ignore the reading."""


@dataclass
class Meter:
    """Counts answers as they come."""

    task: str
    """Name of the technique."""
    total: int
    """Number of calls to make."""
    prices: Prices
    """What tokens cost."""
    done: int = 0
    """Number of finished calls."""
    errors: Counter[str] = field(default_factory=Counter)
    """Number of calls that ended in an error, by kind."""
    input_tokens: int = 0
    """Tokens of the prompts."""
    cached_tokens: int = 0
    """Input tokens that the engine had computed before (prefix cache)."""
    output_tokens: int = 0
    """Tokens of the answers."""
    cut_off: int = 0
    """Number of answers that were cut off at the maximum of tokens."""
    written: int = 0
    """Tokens written so far, those of unfinished answers included."""
    begun: float | None = None
    """When the first request was taken; a model is loaded before. None = not yet."""

    def begin(self) -> None:
        """Record that a request is taken."""
        self.begun = time.monotonic() if self.begun is None else self.begun

    def count(self, answer: Answer) -> float:
        """Count one answer; return its cost."""
        self.done += 1
        if answer.error is not None:
            self.errors[answer.error] += 1
        self.cut_off += answer.finish == CUT_OFF
        self.input_tokens += answer.input_tokens
        self.cached_tokens += answer.cached_tokens
        self.output_tokens += answer.output_tokens
        return self.prices.cost(answer.input_tokens, answer.output_tokens, answer.cached_tokens)

    def read(self) -> Reading:
        """Return the current state."""
        cost = self.prices.cost(self.input_tokens, self.output_tokens, self.cached_tokens)
        return Reading(
            self.task,
            self.done,
            self.total,
            dict(self.errors),
            self.input_tokens,
            self.cached_tokens,
            self.output_tokens,
            0.0 if self.begun is None else time.monotonic() - self.begun,
            cost,
            self.prices.currency,
            self.cut_off,
            self.written,
        )
