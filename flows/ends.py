"""Ends of a run that automations tell apart: a gate stopped it, or its budget is spent."""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar, cast

from prefect import tags
from prefect.runtime import flow_run
from prefect.states import Failed

from feature_store.gate import ClicksFell, GatesClosed
from llm_tasks.pipeline.budget import BudgetReached

GATE_CLOSED, BUDGET_REACHED = "GateClosed", "BudgetReached"
"""Names of the state: Prefect sends an event `prefect.flow-run.NAME` when a run enters it."""
NAMES = {GatesClosed: GATE_CLOSED, ClicksFell: GATE_CLOSED, BudgetReached: BUDGET_REACHED}
P = ParamSpec("P")
R = TypeVar("R")


def named_ends(work: Callable[P, R]) -> Callable[P, R]:
    """Let a flow end in a state of its own name, of type FAILED, when a gate or a budget stops it.

    Whoever calls the flow gets the same exception as before. Runs that the flow starts inherit its tags, so that
    automations find them.

    Args:
        work: The function of the flow.
    """

    @wraps(work)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            with tags(*flow_run.get_tags()):
                return work(*args, **kwargs)
        except tuple(NAMES) as error:
            # Prefect takes a returned state as the state of the run, and raises its exception at the caller.
            return cast(R, Failed(name=NAMES[type(error)], message=str(error), data=error))

    return run
