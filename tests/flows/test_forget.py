"""A run whose messages or artifacts name a forgotten user leaves the Prefect server; all others stay."""

import time
from importlib import import_module
from pathlib import Path

import pytest
from prefect import Flow, flow
from prefect.artifacts import create_table_artifact
from prefect.client.orchestration import get_client
from prefect.client.schemas.sorting import ArtifactSort, FlowRunSort, LogSort
from prefect.settings import PREFECT_API_URL, temporary_settings

import flows
from flows.forget import OURS, forget_runs

CONFIG = Path("/srv/shop/knowflow.yaml")


@flow(name="refresh", flow_run_name="{name}")
def quoting(name: str, found: str, message: str = "", config: str = "shop/knowflow.yaml") -> None:
    create_table_artifact(key="gates", table=[{"found": found}], description="Gates")
    if message:
        raise ValueError(message)


@flow(name="somebody else's", flow_run_name="{name}")
def other(name: str, found: str) -> None:
    create_table_artifact(key="theirs", table=[{"found": found}])


def test_a_run_that_names_somebody_leaves_with_its_artifacts_and_logs(prefect_server):
    quoting("in an artifact", "the first: zoe-4711: 'sorry'")
    with pytest.raises(ValueError, match="zoe"):
        quoting("in a message", "no", "the first: zoe-4711: 'sorry'")
    quoting("about nobody", "the first: zoe-47: 'sorry'")
    other("of others", "zoe-4711")
    quoting("in another shop", "the first: zoe-4711: 'sorry'", config="/srv/another/knowflow.yaml")
    time_of_logs()

    planned = forget_runs(lambda told: "zoe-4711" in str(told), CONFIG, dry_run=True)
    done = forget_runs(lambda told: "zoe-4711" in str(told), CONFIG)

    deadline = time.monotonic() + 60
    with get_client(sync_client=True) as client:
        runs = {run.name for run in client.read_flow_runs(limit=200, sort=FlowRunSort.START_TIME_DESC)}
        found = [str(artifact.data) for artifact in client.read_artifacts(limit=200, sort=ArtifactSort.CREATED_DESC)]
        while any("zoe-4711" in log.message for log in client.read_logs(limit=200, sort=LogSort.TIMESTAMP_DESC)):
            assert time.monotonic() < deadline, "the server deletes the logs of a run after the run"
    assert planned == done is not None
    assert (done["deleted"], done["left"]) == (2, [])
    assert runs & {"in an artifact", "in a message"} == set()
    assert {"about nobody", "of others", "in another shop"} <= runs
    assert sum("zoe-4711" in one for one in found) == 2  # of somebody else's flow, and of another shop
    assert forget_runs(lambda told: "zoe-4711" in str(told), CONFIG) == {
        **done,
        "searched": done["searched"] - 2,
        "deleted": 0,
    }


def time_of_logs() -> None:
    """Let Prefect send what it has logged."""
    from prefect.logging.handlers import APILogWorker

    APILogWorker.instance().drain()


def test_runs_of_every_flow_of_ours_are_looked_at():
    modules = [import_module(f"flows.{path.stem}") for path in Path(flows.__file__).parent.glob("[a-z]*.py")]

    names = {one.name for module in modules for one in vars(module).values() if isinstance(one, Flow)}

    assert names == set(OURS)


def test_without_a_server_of_the_users_there_is_nothing_to_look_at():
    with temporary_settings({PREFECT_API_URL: None}):
        assert forget_runs(lambda told: True, CONFIG) is None
