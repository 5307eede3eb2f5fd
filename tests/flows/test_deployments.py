"""prefect.yaml: every deployment is what Prefect understands, and one really runs."""

import copy
import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect import Flow
from prefect.cli.deploy._models import ConcurrencyLimitSpec, DeploymentConfig, RawScheduleConfig, WorkPoolConfig
from prefect.exceptions import ParameterTypeError, SignatureMismatchError
from prefect.utilities.importtools import import_object
from scheduled import Scheduled, wait_until

from feature_store.releases import get_release
from flows.automations import HEARTBEAT_SECONDS, TAG
from tests.conftest import SMALL

ROOT = Path(__file__).resolve().parents[2]
PREFECT_YAML = yaml.safe_load((ROOT / "prefect.yaml").read_text())
DEPLOYMENTS = {deployment["name"]: deployment for deployment in PREFECT_YAML["deployments"]}


def unknown(settings: dict[str, Any], kind: type) -> set[str]:
    """Settings that Prefect would pass over without a word."""
    return set(settings) - set(kind.model_fields)


def check(deployment: dict[str, Any]) -> None:
    """Raise when Prefect would pass over a setting, or when a run would fail for its parameters."""
    schedules = deployment.get("schedules", [])
    for settings, kind in (
        (deployment, DeploymentConfig),
        (deployment["work_pool"], WorkPoolConfig),
        (deployment["concurrency_limit"], ConcurrencyLimitSpec),
        *((schedule, RawScheduleConfig) for schedule in schedules),
    ):
        assert unknown(settings, kind) == set()
        kind.model_validate(settings)
    flow = import_object(str(ROOT / deployment["entrypoint"]))
    assert isinstance(flow, Flow)
    for schedule in [{}, *schedules]:
        parameters = {**deployment.get("parameters", {}), **schedule.get("parameters", {})}
        assert set(parameters) <= set(flow.parameters.properties)
        flow.validate_parameters(parameters)


def test_each_flow_has_a_deployment_of_its_name():
    assert {name: one["entrypoint"] for name, one in DEPLOYMENTS.items()} == {
        name: f"flows/{word}.py:{word}"
        for name in ("refresh", "train", "report", "nightly", "rewrites", "weekly-tune", "iterate", "maintain")
        for word in [name.replace("-", "_")]
    }


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_a_deployment_holds_only_what_prefect_and_the_flow_know(name):
    check(DEPLOYMENTS[name])

    assert (ROOT / DEPLOYMENTS[name]["parameters"]["config"]).is_file()
    assert DEPLOYMENTS[name]["tags"] == [TAG]
    assert DEPLOYMENTS[name]["work_pool"]["job_variables"]["stream_output"] is False
    seconds = DEPLOYMENTS[name]["work_pool"]["job_variables"]["env"]["PREFECT_FLOWS_HEARTBEAT_FREQUENCY"]
    assert int(seconds) == HEARTBEAT_SECONDS
    assert DEPLOYMENTS[name]["concurrency_limit"]["collision_strategy"] == "ENQUEUE"


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"parameters": {"config": "knowflow.yaml", "task": ["kar_item"]}}, AssertionError),
        ({"parameters": {"config": "knowflow.yaml", "tasks": "kar_item"}}, ParameterTypeError),
        ({"parameters": {}}, (ParameterTypeError, SignatureMismatchError, TypeError)),
        ({"schedules": [{"cron": "0 3 * * *", "parameters": {"task": []}}]}, AssertionError),
        ({"schedules": [{"cron": "0 3 * * *", "time_zone": "UTC"}]}, (AssertionError, ValueError)),
        ({"concurrency_limits": 1}, AssertionError),
    ],
)
def test_the_check_fails_for_a_wrong_name_or_type(change, fault):
    with pytest.raises(fault):
        check({**DEPLOYMENTS["nightly"], **change})


def test_the_schedule_is_off_and_keeps_its_name_and_no_path_of_a_machine_stands_there():
    (schedule,) = DEPLOYMENTS["nightly"]["schedules"]
    text = (ROOT / "prefect.yaml").read_text()

    assert (schedule["active"], schedule["slug"], schedule["timezone"]) == (False, "every-night", "UTC")
    assert re.search("active: false +# to switch it on: write true, and deploy again\n", text)
    assert not any(
        word.startswith(("/", "~", "C:")) for line in text.splitlines() for word in line.split("#")[0].split()
    )


@pytest.mark.slow(reason="a Prefect server, a worker and its flow run, each a process of its own")
def test_a_worker_runs_a_deployment_of_the_file_to_its_end(shop, plain_knowflow, prefect):
    with prefect.worker():
        told = prefect.call("deployment", "run", "refresh/refresh", "-p", f"config={shop.config}", "--watch")
    deployed, runs = prefect.ask("deployments"), prefect.ask("flow_runs")
    tasks, artifacts = prefect.ask("task_runs"), prefect.ask("artifacts")

    assert {one["name"] for one in deployed} == set(DEPLOYMENTS)
    for one in deployed:
        assert one["tags"] == [TAG]
        assert one["concurrency_options"]["collision_strategy"] == "ENQUEUE"
        assert one["global_concurrency_limit"]["limit"] == 1
        assert [s["active"] for s in one["schedules"]] == [False for _ in DEPLOYMENTS[one["name"]].get("schedules", [])]
    assert "Flow run finished successfully" in told
    assert [(run["name"], run["state"]["type"]) for run in runs] == [(f"refresh {shop.config}", "COMPLETED")]
    assert {task["name"]: task["state"]["type"] for task in tasks} == dict.fromkeys(
        ["check input", *(f"ask {task}" for task in shop.settings["tasks"]), "encode", "release"],
        "COMPLETED",
    )
    (table,) = [artifact for artifact in artifacts if artifact["key"] == "refresh"]
    assert [row["calls"] for row in json.loads(table["data"])] == [12, 8, 0]
    assert [
        release["name"]
        for release in json.loads(plain_knowflow.run("release", "list", "--config", str(shop.config), "--json").stdout)[
            "releases"
        ]
    ] == ["rel-000001"]


@pytest.mark.slow(reason="the server of the test above, another worker and another run")
def test_a_run_outlives_its_worker(shop, prefect):
    shop.configure(options={"seconds": 0.3})
    with prefect.worker() as worker:
        run = prefect.start("refresh", config=str(shop.config))
        wait_until(lambda: shop.calls("gave"), 120)
        worker.kill()

        done = prefect.wait(run, "Completed", 120)

    assert done["run_count"] == 1
    assert len(shop.calls("gave")) == 20  # 12 items, 8 snapshots of users


@pytest.mark.slow(reason="the same server, and a night that waits for its minute, trains an arm and reports")
def test_a_cron_schedule_that_is_switched_on_fires_and_ends_in_a_published_release(prefect, make_shop, tmp_path):
    shop = make_shop(items=30, users=20, events=10, train=SMALL | {"seeds": [0], "arms": ["base"]})
    due = (datetime.now(UTC) + timedelta(seconds=80)).replace(second=0, microsecond=0)  # 20 to 80 seconds from now
    night = copy.deepcopy(DEPLOYMENTS["nightly"])
    night["parameters"]["config"] = str(shop.config)
    night["schedules"][0] |= {"cron": f"{due.minute} {due.hour} * * *", "active": True}
    file = tmp_path / "prefect.yaml"
    file.write_text(yaml.safe_dump({**PREFECT_YAML, "deployments": [night]}))

    prefect.call("--no-prompt", "deploy", "--all", "--prefect-file", str(file))
    with prefect.worker():
        runs = wait_until(lambda: [run for run in nights(prefect) if run["state"]["name"] == "Running"], 110)
        done = prefect.wait(runs[0]["id"], "Completed", 170)
    prefect.call("deployment", "schedule", "clear", "nightly/nightly", "--accept-yes")

    assert (done["name"], done["auto_scheduled"]) == (f"nightly {shop.config}", True)
    assert datetime.fromisoformat(done["expected_start_time"]) == due
    assert get_release(shop.place().store).name == "rel-000001"
    assert (shop.folder / "runs" / "report.html").is_file()


def nights(prefect: Scheduled) -> list[dict[str, Any]]:
    return prefect.ask("flow_runs", flows={"name": {"any_": ["nightly"]}})
