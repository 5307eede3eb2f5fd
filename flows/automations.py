"""What Prefect does by itself when a run dies; `flows.alarms` has what it says when a run needs somebody."""

from collections.abc import Sequence
from datetime import timedelta

from prefect.automations import AutomationCore, ChangeFlowRunState, EventTrigger, Posture
from prefect.client.schemas.objects import StateType

from flows.ends import BUDGET_REACHED, GATE_CLOSED

Labels = dict[str, str | list[str]]
"""What a trigger says of a resource."""
TAG = "knowflow"
"""Tag of our deployments, and so of their runs and sub-runs. Runs of the command line have none: a person watches."""
HEARTBEAT = "prefect.flow-run.heartbeat"
HEARTBEAT_SECONDS = 30
"""Set in prefect.yaml; Prefect allows no less."""
SILENCE = timedelta(seconds=3 * HEARTBEAT_SECONDS)
"""A run that misses so many heartbeats is dead."""
ENDS = ("Completed", "Failed", "Crashed", "Cancelled", GATE_CLOSED, BUDGET_REACHED)
NEVER_STARTED = timedelta(minutes=10)
"""How long a run may be on its way from the worker to its first line."""
OF_A_DEPLOYMENT: Labels = {"prefect.resource.role": "deployment"}
OURS: Labels = {"prefect.resource.id": f"prefect.tag.{TAG}", "prefect.resource.role": "tag"}


def events(*states: str) -> set[str]:
    """Return the events of a run that enters one of these states."""
    return {f"prefect.flow-run.{state}" for state in states}


def end_dead_runs() -> list[AutomationCore]:
    """Return the automations that end runs whose process is gone, which frees their slots."""
    dead, again = StateType.CRASHED, "Run it again, and it continues."
    return [
        AutomationCore(
            name="knowflow: crash a run without heartbeats",
            description="Its process, its worker or its machine has died. The slot that it holds becomes free.",
            trigger=without({HEARTBEAT, *events(*ENDS)}, after={HEARTBEAT}, within=SILENCE),
            actions=[_end(dead, f"No heartbeat for {SILENCE.seconds} seconds: its process has died. {again}")],
        ),
        AutomationCore(
            name="knowflow: crash a run that never started",
            description="A worker took it and died before it began.",
            trigger=without(events("Running", *ENDS), after=events("Pending"), within=NEVER_STARTED),
            actions=[_end(dead, f"A worker took this run and did not start it. {again}")],
        ),
        AutomationCore(
            name="knowflow: end a cancelled run that nobody ends",
            description="Its worker has died, so that nobody is there to stop it.",
            trigger=without(events(*ENDS), after=events("Cancelling"), within=SILENCE),
            actions=[_end(StateType.CANCELLED, f"Nobody ended this run within {SILENCE.seconds} seconds.")],
        ),
    ]


def _end(state: StateType, why: str) -> ChangeFlowRunState:
    return ChangeFlowRunState(name=None, state=state, message=why, force=False)


def without(
    expect: set[str], *, after: set[str], within: timedelta, related: Sequence[Labels] = (OURS,)
) -> EventTrigger:
    """Return a trigger that fires for a run when none of the events comes in time.

    Args:
        expect: The events.
        after: From which events on they are waited for.
        within: How long.
        related: What the run must belong to.
    """
    return EventTrigger(
        posture=Posture.Proactive,
        after=after,
        expect=expect,
        within=within,
        match={"prefect.resource.id": "prefect.flow-run.*"},
        match_related=list(related),
        for_each={"prefect.resource.id"},
    )
