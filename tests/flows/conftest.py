"""What a Prefect server says of the flows that ran."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from filelock import FileLock
from scheduled import Scheduled, scheduled

from tests.command import environment_of
from tests.forked import Forks
from tests.session import FOLDER


def seen_by_prefect(flow_run: str) -> SimpleNamespace:
    """The newest flow run of a name, with its task runs and artifacts, as the server has them."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas import filters, sorting

    with get_client(sync_client=True) as client:
        named = filters.FlowRunFilter(name=filters.FlowRunFilterName(any_=[flow_run]))
        (run, *_) = client.read_flow_runs(flow_run_filter=named, sort=sorting.FlowRunSort.START_TIME_DESC)
        this = filters.FlowRunFilter(id=filters.FlowRunFilterId(any_=[run.id]))
        artifacts = client.read_artifacts(flow_run_filter=this)
        return SimpleNamespace(
            run=run,
            tasks=client.read_task_runs(flow_run_filter=this),
            artifacts={artifact.key: artifact for artifact in artifacts if artifact.key},
        )


@pytest.fixture
def prefect_has(prefect_server: str) -> Callable[[str], Any]:
    """Ask the server for a flow run by name."""
    return seen_by_prefect


@pytest.fixture
def empty_server(prefect_server: str) -> Iterator[Any]:
    """A client of the tests' server, alone with what `ops setup` and deployments make there, and without any of it."""
    from prefect.client.orchestration import get_client

    with FileLock(Path(os.environ[FOLDER]) / "empty_server.lock"), get_client(sync_client=True) as client:
        clear(client)
        yield client
        clear(client)


def clear(client: Any) -> None:
    """Delete all automations, work pools and deployments."""
    for one in client.read_automations():
        client.delete_automation(one.id)
    for pool in client.read_work_pools():
        client.delete_work_pool(pool.name)
    for one in client.read_deployments():
        client.delete_deployment(one.id)


@pytest.fixture(scope="module")
def bare_prefect(tmp_path_factory: pytest.TempPathFactory, forks: Forks) -> Iterator[Scheduled]:
    """A server for one file of tests, with nothing on it."""
    folder = tmp_path_factory.mktemp("prefect")
    with scheduled(environment_of(None, folder), folder, forks) as server:
        yield server


@pytest.fixture(scope="module")
def prefect(bare_prefect: Scheduled) -> Scheduled:
    """The same, set up as docs/how-to/schedule.md says: pool, automations, deployments."""
    bare_prefect.knowflow("ops", "setup")
    bare_prefect.call("--no-prompt", "deploy", "--all")
    return bare_prefect
