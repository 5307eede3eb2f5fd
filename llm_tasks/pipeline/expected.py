"""What the calls of a plan are expected to take, so that a gate can compare it with what they took."""

from dataclasses import dataclass
from itertools import islice

from engines.protocol import Engine
from llm_tasks.pipeline.plan import TaskPlan

COUNTED = 200
"""Prompts whose tokens are counted; the others are taken to be as long, because counting many takes minutes."""


@dataclass(frozen=True)
class Expected:
    """Calls and tokens of a plan."""

    planned_calls: int
    """Number of calls."""
    planned_input_tokens: int
    """Tokens of their prompts, from a spread of them."""
    planned_output_tokens: int | None
    """Tokens of their answers, by past runs of the same prompt and model; None if there were none."""


def expected(plan: TaskPlan, engine: Engine) -> Expected:
    """Return what the calls of a plan are expected to take.

    Args:
        plan: A plan of `plan_task`; its tokens need not be counted.
        engine: Counts tokens.
    """
    calls = len(plan.asks)
    asked = (request for request in plan.spool.requests() if request.key in plan.asks)
    counted = [engine.count_tokens(one.messages) for one in islice(asked, 0, None, max(calls // COUNTED, 1))]
    each = sum(counted) / max(len(counted), 1)
    out = round(calls * plan.estimate.output_tokens) if plan.estimate else None
    return Expected(calls, round(calls * each), out)
