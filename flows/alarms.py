"""Alarms: what a run must come to for somebody to be told, and what the message says."""

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from prefect.automations import AutomationCore, CallWebhook, EventTrigger, SendNotification

from flows.automations import ENDS, OF_A_DEPLOYMENT, OURS, events, without
from flows.ends import BUDGET_REACHED, GATE_CLOSED

LATE = timedelta(minutes=30)
"""How long after its time a run may wait for a worker before somebody is told."""
STUCK = timedelta(hours=12)
"""How long a run may take before somebody is told."""
ONCE = timedelta(minutes=10)
"""How long the same event of a run sends no second message: a busy server may handle an event again."""


@dataclass(frozen=True)
class Alarm:
    """One alarm."""

    name: str
    """Such as `failed`."""
    says: str
    """What has come to pass, after the name of the flow."""
    page: str
    """The section of docs/operations.md that says what to do."""
    trigger: EventTrigger
    """When it is sent: once for each run of a deployment; sub-runs send none."""


def alarms(late: timedelta = LATE, stuck: timedelta = STUCK) -> list[Alarm]:
    """Return all alarms.

    Args:
        late: Until a run that is due has started.
        stuck: Until a run that has started has ended.
    """
    ended = events(*ENDS)
    begun = events("Pending", "Running") | ended
    slow = without(begun, after=events("Late"), within=late, related=RUN)
    long = without(ended, after=events("Running"), within=stuck, related=RUN)
    return [
        Alarm("failed", "failed", "a-run-failed", _enters("Failed")),
        Alarm("crashed", "has died", "a-run-crashed", _enters("Crashed")),
        Alarm("gate closed", "was stopped by a gate; nothing was released", "a-gate-is-closed", _enters(GATE_CLOSED)),
        Alarm("budget reached", "has spent its budget", "the-budget-is-spent", _enters(BUDGET_REACHED)),
        Alarm("late", f"has not started {_words(late)} after its time", "a-run-is-late", slow),
        Alarm("stuck", f"still runs after {_words(stuck)}", "a-run-is-stuck", long),
    ]


RUN = [OURS, OF_A_DEPLOYMENT]
WHICH = "{{ flow.name }} {{ flow_run.parameters.config }}"
PREFIX = "Flow run encountered an exception: "
"""What Prefect puts before the reason."""
REASON = f"(flow_run.state.message or flow_run.state.name) | replace('{PREFIX}', '')"
PAGE = "{{ flow_run | ui_url }}"


def automation(alarm: Alarm, webhook: UUID | None, email: UUID | None) -> AutomationCore:
    """Return the automation that sends an alarm.

    Args:
        alarm: The alarm.
        webhook: Id of the block of the webhook, if there is one.
        email: Id of the block that mails, if there is one.
    """
    actions: list[CallWebhook | SendNotification] = []
    if webhook is not None:
        actions.append(CallWebhook(block_document_id=webhook, payload=payload(alarm)))
    if email is not None:
        subject = f"KnowFlow: {{{{ flow.name }}}} {alarm.says}"
        actions.append(SendNotification(block_document_id=email, subject=subject, body=body(alarm)))
    return AutomationCore(
        name=title(alarm),
        description=f"Sends a message: a run {alarm.says}.",
        trigger=alarm.trigger,
        actions=list(actions),
    )


def title(alarm: Alarm) -> str:
    """Return the name of an alarm's automation."""
    return f"knowflow: tell that a run {alarm.name}"


def body(alarm: Alarm) -> str:
    """Return the text of the message, a template of Prefect's."""
    return (
        f"{WHICH} {alarm.says}.\n\n{{{{ {REASON} }}}}\n\n"
        f"the run, with its plan, gates and report under Artifacts: {PAGE}\n"
        f"what to do: docs/operations.md#{alarm.page}\n"
    )


def payload(alarm: Alarm) -> str:
    """Return the JSON of the webhook, a template; `text` is what chat services show."""
    facts = {
        "alarm": f'"{alarm.name}"',
        "flow": "{{ flow.name | tojson }}",
        "config": "{{ flow_run.parameters.config | tojson }}",
        "state": "{{ flow_run.state.name | tojson }}",
        "reason": f"{{{{ {REASON} | tojson }}}}",
        "page": "{{ (flow_run | ui_url) | tojson }}",
        "help": f'"docs/operations.md#{alarm.page}"',
        "text": "{{ text | tojson }}",
    }
    text = f"{{% set text %}}KnowFlow: {body(alarm)}{{% endset %}}"
    return text + "{" + ", ".join(f'"{name}": {value}' for name, value in facts.items()) + "}"


def _enters(state: str) -> EventTrigger:
    return EventTrigger(
        expect=events(state),
        within=ONCE,
        match={"prefect.resource.id": "prefect.flow-run.*"},
        match_related=list(RUN),
        for_each={"prefect.resource.id"},
    )


def _words(span: timedelta) -> str:
    """Say how long.

    Example:
        >>> _words(timedelta(minutes=30)), _words(timedelta(hours=12))
        ('30 minutes', '12 hours')
    """
    seconds = span.total_seconds()
    for unit, size in (("hours", 3600), ("minutes", 60)):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:,.0f} {unit}"
    return f"{seconds:,.0f} seconds"
