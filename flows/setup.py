"""What our deployments need of a Prefect server, created once: a work pool, blocks for messages, automations."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any, Literal
from uuid import UUID

from prefect.automations import AutomationCore
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate, WorkPoolUpdate
from prefect.exceptions import ObjectNotFound
from prefect.workers.process import ProcessWorker

from flows.alarms import LATE, STUCK, alarms, automation
from flows.automations import end_dead_runs
from flows.channels import EMAIL, WEBHOOK, Block, Channels, blocks, document_id

POOL = "knowflow"
ONE_RUN = 1
"""Runs of the pool at a time, whatever the number of workers: they write to one store and share one machine."""
PLANNED = UUID(int=0)
"""Stands for the id of a block that a dry run does not create."""
Does = Literal["creates", "changes", "keeps"]


@dataclass(frozen=True)
class Step:
    """One thing on the server."""

    does: Does
    """Whether it is there, and as it should be."""
    kind: str
    """Such as `automation`."""
    name: str
    """Its name on the server."""
    apply: Callable[[], Any] = lambda: None
    """Creates or changes it."""


def set_up(
    given: Channels = Channels(),  # noqa: B008 - is frozen
    late: timedelta = LATE,
    stuck: timedelta = STUCK,
    *,
    dry_run: bool = False,
) -> list[Step]:
    """Create or change whatever is not as it should be; a second call changes nothing.

    Args:
        given: Where messages go. A channel that is not given stays as the server has it; without any, no alarms are
            created.
        late: Until somebody is told that a run has not started.
        stuck: Until somebody is told that a run has not ended.
        dry_run: Change nothing.

    Returns:
        One step for each thing.

    Raises:
        WrongUse: A channel cannot be used.
    """
    given.check()
    done: list[Step] = []

    def do(step: Step) -> None:
        if not dry_run:
            step.apply()
        done.append(step)

    with get_client(sync_client=True) as client:
        do(_pool(client))
        ids: dict[str, UUID] = {}
        for name, block in blocks(given).items():
            if block is not None:
                do(_block(client, name, block))
            elif document_id(client, name) is not None:
                do(Step("keeps", "block", name))
            else:
                continue
            ids[name] = document_id(client, name) or PLANNED
        told = alarms(late, stuck) if ids else ()
        for one in (*end_dead_runs(), *(automation(alarm, ids.get(WEBHOOK), ids.get(EMAIL)) for alarm in told)):
            do(_automation(client, one))
    return done


def nobody_is_told(steps: Sequence[Step]) -> bool:
    """Return whether a server has no alarms after these steps."""
    quiet = {one.name for one in end_dead_runs()}
    return not any(step.kind == "automation" and step.name not in quiet for step in steps)


def _pool(client: SyncPrefectClient) -> Step:
    kind = "work pool"
    with suppress(ObjectNotFound):
        if client.read_work_pool(POOL).concurrency_limit == ONE_RUN:
            return Step("keeps", kind, POOL)
        changed = WorkPoolUpdate(concurrency_limit=ONE_RUN)
        return Step("changes", kind, POOL, partial(client.update_work_pool, POOL, changed))
    template = ProcessWorker.get_default_base_job_template()
    pool = WorkPoolCreate(name=POOL, type="process", base_job_template=template, concurrency_limit=ONE_RUN)
    return Step("creates", kind, POOL, partial(client.create_work_pool, pool))


def _block(client: SyncPrefectClient, name: str, block: Block) -> Step:
    kind = "block"
    if document_id(client, name) is None:
        return Step("creates", kind, name, partial(block.save, name))
    old = type(block).load(name)
    if all(getattr(old, field) == getattr(block, field) for field in type(block).model_fields):
        return Step("keeps", kind, name)
    return Step("changes", kind, name, partial(block.save, name, overwrite=True))


def _automation(client: SyncPrefectClient, wanted: AutomationCore) -> Step:
    """Return the step for an automation; who has switched one off finds it switched off."""
    kind = "automation"
    old = next(iter(client.read_automations_by_name(wanted.name)), None)
    if old is None:
        return Step("creates", kind, wanted.name, partial(client.create_automation, wanted))
    new = wanted.model_copy(update={"enabled": old.enabled})
    if AutomationCore.model_validate(old.model_dump()) == AutomationCore.model_validate(new.model_dump()):
        return Step("keeps", kind, wanted.name)
    return Step("changes", kind, wanted.name, partial(client.update_automation, old.id, new))
