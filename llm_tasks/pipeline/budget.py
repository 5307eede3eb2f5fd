"""What tokens cost, and how much one run may spend."""

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pydantic import Field

from base.faults import CheckFailed
from base.frozen import Frozen

if TYPE_CHECKING:
    from llm_tasks.pipeline.meter import Reading


class Prices(Frozen):
    """What the model costs, for the plan, the budget and the report."""

    input_per_million: float = Field(default=0.0, ge=0)
    """Price of a million input tokens."""
    cached_per_million: float | None = Field(default=None, ge=0)
    """Price of a million input tokens from the server's prefix cache; the price of input tokens if not given."""
    output_per_million: float = Field(default=0.0, ge=0)
    """Price of a million output tokens."""
    currency: str = "USD"
    """The currency shown with every amount."""

    def cost(self, input_tokens: int, output_tokens: int, cached_tokens: int = 0) -> float:
        """Return the price of tokens; input tokens include the cached ones.

        Example:
            >>> prices = Prices(input_per_million=2, cached_per_million=1, output_per_million=6)
            >>> prices.cost(1_000_000, 500_000, cached_tokens=400_000)
            4.6
        """
        cached = self.input_per_million if self.cached_per_million is None else self.cached_per_million
        fresh = input_tokens - cached_tokens
        return (fresh * self.input_per_million + cached_tokens * cached + output_tokens * self.output_per_million) / 1e6


class BudgetReached(CheckFailed):
    """A run stopped because its budget was spent; the text says which limit was reached and how to continue."""

    reading: "Reading | None" = None
    """What was asked until then."""


@dataclass(frozen=True)
class Limits:
    """How much one run may spend; None = no limit."""

    max_tokens: int | None = None
    """Maximum input and output tokens together."""
    max_cost: float | None = None
    """Maximum cost, by the prices in knowflow.yaml."""
    max_hours: float | None = None
    """Maximum hours since the run started."""


@dataclass
class Budget:
    """Counts what a run spends over all its techniques."""

    limits: Limits = field(default_factory=Limits)
    """How much it may spend."""
    tokens: int = 0
    """Tokens spent so far."""
    cost: float = 0.0
    """Money spent so far."""
    begun: float = field(default_factory=time.monotonic)
    """When the run started, by the monotonic clock."""

    def spend(self, tokens: int, cost: float) -> None:
        """Count one answer."""
        self.tokens, self.cost = self.tokens + tokens, self.cost + cost

    def reached(self) -> str | None:
        """Return the limit that is reached, in words; None if there is none."""
        hours = (time.monotonic() - self.begun) / 3600
        limits = self.limits
        if limits.max_tokens is not None and self.tokens >= limits.max_tokens:
            return f"{self.tokens:,} tokens of at most {limits.max_tokens:,}"
        if limits.max_cost is not None and self.cost >= limits.max_cost:
            return f"a cost of {self.cost:,.4f} of at most {limits.max_cost:,.4f}"
        if limits.max_hours is not None and hours >= limits.max_hours:
            return f"{hours:,.2f} hours of at most {limits.max_hours:,.2f}"
        return None
