"""What is spent before the first answer is counted: a budget below that cannot be kept."""

import heapq
from dataclasses import dataclass

from engines.protocol import Engine, in_flight
from llm_tasks.pipeline.budget import Limits, Prices
from llm_tasks.pipeline.plan import TaskPlan


@dataclass(frozen=True)
class FirstBatch:
    """The cheapest calls that an engine takes before it gives its first answer."""

    task: str
    """The technique that asks first."""
    calls: int
    """Number of calls."""
    tokens: int
    """Least tokens that they take: their prompts, and one token for each answer."""
    cost: float
    """What these tokens cost."""
    hours: float
    """Expected hours, from past runs; 0 if there were none."""

    def faults(self, limits: Limits, currency: str) -> list[str]:
        """Return the limits that this batch alone exceeds, each in words."""
        of = f"{self.task} sends {self.calls:,} call{'' if self.calls == 1 else 's'} before the first answer is counted"
        found = []
        if limits.max_tokens is not None and limits.max_tokens < self.tokens:
            found.append(f"max_tokens is {limits.max_tokens:,}, but {of}: at least {self.tokens:,} tokens")
        if limits.max_cost is not None and limits.max_cost < self.cost:
            found.append(f"max_cost is {limits.max_cost:,.4f}, but {of}: at least {self.cost:,.4f} {currency}")
        if limits.max_hours is not None and limits.max_hours < self.hours:
            found.append(f"max_hours is {limits.max_hours:,.4f}, but {of}: about {self.hours:,.4f} by past runs")
        fix = "raise the limit" if self.calls == 1 else "raise the limit, or let the engine take fewer rows at once"
        return [f"{fault}\n  {fix}" for fault in found]


def first_batch(plan: TaskPlan, engine: Engine, prices: Prices) -> FirstBatch | None:
    """Return the cheapest first batch of a plan; None if it asks nothing.

    Args:
        plan: A plan of `plan_task`; its tokens need not be counted.
        engine: Counts tokens, and says how many rows it takes at once.
        prices: What tokens cost.
    """
    calls = min(in_flight(engine), len(plan.asks))
    if not calls:
        return None
    asked = (request.messages for request in plan.spool.requests() if request.key in plan.asks)
    # Counted are those with the shortest text alone: counting all takes minutes where there are many.
    shortest = heapq.nsmallest(calls, asked, key=lambda messages: sum(len(one["content"]) for one in messages))
    tokens = sum(engine.count_tokens(messages) for messages in shortest)
    seconds = plan.estimate.seconds if plan.estimate else 0.0
    return FirstBatch(plan.task.name, calls, tokens + calls, prices.cost(tokens, calls), seconds * calls / 3600)
