"""What our deployments need of a Prefect server, created once: a work pool, blocks for messages, automations."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from prefect.automations import AutomationCore
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate, WorkPoolUpdate
from prefect.exceptions import ObjectNotFound
from prefect.workers.process import ProcessWorker

from flows.automations import end_dead_runs

POOL = "knowflow"
ONE_RUN = 1
"""Runs of the pool at a time, whatever the number of workers: they write to one store and share one machine."""
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


def set_up(*, dry_run: bool = False) -> list[Step]:
    """Create or change whatever is not as it should be; a second call changes nothing.

    Args:
        dry_run: Change nothing.

    Returns:
        One step for each thing.
    """
    with get_client(sync_client=True) as client:
        steps = [_pool(client), *_automations(client, end_dead_runs())]
        for step in steps if not dry_run else ():
            step.apply()
    return steps


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


def _automations(client: SyncPrefectClient, wanted: list[AutomationCore]) -> Iterator[Step]:
    """Yield a step for each automation; who has switched one off finds it switched off."""
    for one in wanted:
        kind = "automation"
        old = next(iter(client.read_automations_by_name(one.name)), None)
        if old is None:
            yield Step("creates", kind, one.name, partial(client.create_automation, one))
            continue
        new = one.model_copy(update={"enabled": old.enabled})
        if _content(old) == _content(new):
            yield Step("keeps", kind, one.name)
        else:
            yield Step("changes", kind, one.name, partial(client.update_automation, old.id, new))


def _content(one: AutomationCore) -> dict[str, Any]:
    """Return what can be compared of an automation: sets sorted, no ids of the server."""
    return AutomationCore.model_validate(one.model_dump()).model_dump(mode="python", exclude={"id"})
