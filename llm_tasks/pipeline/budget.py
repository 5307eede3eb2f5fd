"""What tokens cost, and how much one run may spend."""

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pydantic import Field

from base.faults import CheckFailed, WrongUse
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

    def priced(self, planned: Mapping[str, Any]) -> dict[str, Any]:
        """Add the cost of a technique's calls to its plan: at most, and estimated from past runs of the same prompt."""
        guess = planned["output_tokens_estimate"]
        return {
            **planned,
            "cost_at_most": self.cost(planned["input_tokens"], planned["output_tokens_at_most"]),
            "cost_estimate": None if guess is None else self.cost(planned["input_tokens"], guess),
        }


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


LIMIT = re.compile(r"([\d,_]*\.?\d+)\s*([kKmM]?)-?([A-Za-z]*)")
TIMES = {"": 1, "k": 1_000, "m": 1_000_000}


def read_limits(said: str, currency: str) -> Limits:
    """Read how much a run may spend, in tokens or in money.

    Args:
        said: `200k-tokens`, `2M-tokens`, `200000`, or an amount in the currency, such as `5-usd`.
        currency: The currency of the prices in knowflow.yaml.

    Raises:
        WrongUse: It is neither.

    Example:
        >>> read_limits("200k-tokens", "USD").max_tokens, read_limits("2.5-usd", "USD").max_cost
        (200000, 2.5)
    """
    match = LIMIT.fullmatch(said.strip())
    amount = float(match[1].replace(",", "").replace("_", "")) * TIMES[match[2].lower()] if match else 0.0
    unit = match[3].lower() if match else ""
    if amount >= 1 and unit in ("", "token", "tokens"):
        return Limits(max_tokens=int(amount))
    if amount > 0 and unit == currency.lower():
        return Limits(max_cost=amount)
    raise WrongUse(f"'{said}' is no budget\n  give one such as 200k-tokens, 2M-tokens or 5-{currency.lower()}")


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

    def share(self) -> float:
        """Return the share that is spent of the limit that is nearest; 0 without limits."""
        hours, limits = (time.monotonic() - self.begun) / 3600, self.limits
        pairs = [(self.tokens, limits.max_tokens), (self.cost, limits.max_cost), (hours, limits.max_hours)]
        return max((spent / most for spent, most in pairs if most is not None), default=0.0)

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
