"""Take users out of what a Prefect server keeps of our runs: messages and artifacts may quote the answer of a user."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterFlowRunId,
    FlowFilter,
    FlowFilterName,
    FlowRunFilter,
    FlowRunFilterId,
    LogFilter,
    LogFilterFlowRunId,
)
from prefect.client.schemas.objects import FlowRun
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_KEY, PREFECT_API_URL

from flows.server import check_server, credentials

OURS = ["refresh", "train", "report", "nightly", "rewrites", "maintain", "weekly-tune", "iterate"]
"""Names of our flows; runs of others are not looked at."""
PAGE = 200
"""What a server returns at once."""


def forget_runs(holds: Callable[[Any], bool], config: Path, *, dry_run: bool = False) -> dict[str, Any] | None:
    """Delete the runs of our flows, on the Prefect server of the user, that name somebody.

    The messages, logs and artifacts of a run go with it. A run that has not ended stays, and is named. The server
    itself forgets its events, which hold messages too, after PREFECT_SERVER_EVENTS_RETENTION_PERIOD.

    Args:
        holds: Returns whether plain JSON names one of the users.
        config: The knowflow.yaml whose runs are looked at; those of other shops, and flows of others, stay.
        dry_run: Delete nothing.

    Returns:
        Plain JSON: the `server`, how many runs were `searched` and `deleted`, and the names of those that are `left`;
        None without a server: a temporary one keeps its runs in the home.

    Raises:
        WrongUse: The server does not answer, or it is no Prefect server.
    """
    url = PREFECT_API_URL.value()
    if not url:
        return None
    check_server(url, credentials(PREFECT_API_AUTH_STRING.value(), PREFECT_API_KEY.value()))
    searched, deleted, left = 0, 0, list[str]()
    with get_client(sync_client=True) as client:
        for run in [one for one in _runs(client) if _is_of(one, config)]:
            searched += 1
            artifacts = list(_artifacts(client, run.id))
            told = [one.model_dump(mode="json", include={"data", "description"}) for one in artifacts]
            if not any(holds(one) for one in (*told, *_said(client, run))):
                continue
            if run.state is None or not run.state.is_final():
                left.append(run.name)
                continue
            deleted += 1
            if not dry_run:
                for artifact in artifacts:
                    client.delete_artifact(artifact.id)
                client.delete_flow_run(run.id)
    return {"server": url, "searched": searched, "deleted": deleted, "left": left}


def _runs(client: SyncPrefectClient) -> Iterator[FlowRun]:
    ours = FlowFilter(name=FlowFilterName(any_=OURS))
    yield from _pages(lambda offset: client.read_flow_runs(flow_filter=ours, limit=PAGE, offset=offset))


def _is_of(run: FlowRun, config: Path) -> bool:
    """Return whether a run was given this config; a deployment's path is relative to a folder that is unknown here."""
    given = run.parameters.get("config")
    return isinstance(given, str) and config.as_posix().endswith(f"/{given.removeprefix('./').lstrip('/')}")


def _artifacts(client: SyncPrefectClient, run: UUID) -> Iterator[Any]:
    of = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[run]))
    yield from _pages(lambda offset: client.read_artifacts(artifact_filter=of, limit=PAGE, offset=offset))


def _said(client: SyncPrefectClient, run: FlowRun) -> Iterator[Any]:
    """Yield what a run was given, and what it, its tasks and its logs say."""
    yield {"name": run.name, "parameters": run.parameters, "message": run.state.message if run.state else None}
    one, logs = (
        FlowRunFilter(id=FlowRunFilterId(any_=[run.id])),
        LogFilter(flow_run_id=LogFilterFlowRunId(any_=[run.id])),
    )
    for task in _pages(lambda offset: client.read_task_runs(flow_run_filter=one, limit=PAGE, offset=offset)):
        yield task.state.message if task.state else None
    for log in _pages(lambda offset: client.read_logs(log_filter=logs, limit=PAGE, offset=offset)):
        yield log.message


def _pages(read: Callable[[int], list[Any]]) -> Iterator[Any]:
    offset = 0
    while page := read(offset):
        yield from page
        offset += len(page)
