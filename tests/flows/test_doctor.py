"""`knowflow doctor` and the Prefect server: deployments, worker, schedules, last runs and alarms, each broken once."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from prefect.client.schemas.actions import DeploymentScheduleCreate, WorkPoolUpdate
from prefect.client.schemas.schedules import CronSchedule
from prefect.states import Completed, Failed, Scheduled

from flows.automations import TAG
from flows.doctor import examine_server
from flows.nightly import nightly
from flows.setup import POOL, set_up


@pytest.fixture
def client(empty_server):
    return empty_server


def findings() -> dict:
    return {one.name: one for one in examine_server(datetime.now(UTC))}


def deploy(client, *, active: bool) -> str:
    """Make the deployment of the nights; gives its id."""
    flow = client.create_flow(nightly)
    cron = DeploymentScheduleCreate(schedule=CronSchedule(cron="0 3 * * *", timezone="UTC"), active=active)
    return client.create_deployment(flow, "nightly", tags=[TAG], schedules=[cron], work_pool_name=POOL)


def run(client, deployment: str, state) -> None:
    made = client.create_flow_run_from_deployment(deployment, state=Scheduled(scheduled_time=datetime.now(UTC)))
    client.set_flow_run_state(made.id, state, force=True)


def test_a_bare_server_lacks_everything_and_each_command_brings_a_part(client):
    bare = findings()
    assert {name: one.level for name, one in bare.items()} == {
        "clock": "ok",
        "deployments": "bad",
        "worker": "bad",
        "schedules": "warn",
        "last runs": "warn",
        "alarms": "bad",
    }
    assert bare["worker"].command == bare["alarms"].command == "knowflow ops setup"
    assert bare["deployments"].command == "prefect --no-prompt deploy --all"

    set_up()
    deployment = deploy(client, active=False)
    found = findings()
    assert found["deployments"].what == "nightly"
    assert found["worker"].what == f"no worker of the pool {POOL} answers: no run starts"
    assert found["worker"].command.startswith("prefect worker start")
    assert found["alarms"].what == "nobody is told when a run fails"
    assert found["schedules"].what == "none is switched on"
    client.send_worker_heartbeat(POOL, "a worker", heartbeat_interval_seconds=30)
    assert (findings()["worker"].level, findings()["worker"].what) == ("ok", "a worker")
    client.update_work_pool(POOL, WorkPoolUpdate(is_paused=True))
    assert findings()["worker"].command == f"prefect work-pool resume {POOL}"
    client.pause_deployment(deployment)
    assert findings()["deployments"].command == "prefect deployment resume nightly"


def test_the_last_run_of_a_deployment_says_why_it_failed_and_a_later_success_heals_it(client):
    set_up()
    deployment = deploy(client, active=False)

    run(client, deployment, Failed(name="GateClosed", message="nothing was released\n  and more"))
    finding = findings()["last runs"]
    assert finding.level == "bad"
    assert "nightly GateClosed 20" in finding.what
    assert finding.what.endswith("(nothing was released)")
    assert finding.command.endswith("prefect deployment run nightly/nightly")

    run(client, deployment, Completed())
    assert findings()["last runs"].level == "ok"


def test_late_and_missing_runs_of_a_schedule_are_bad(client):
    set_up()
    deployment = deploy(client, active=True)
    assert findings()["schedules"].what == "nightly on, and no run is planned"
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    client.create_flow_run_from_deployment(deployment, state=Scheduled(scheduled_time=tomorrow))
    assert findings()["schedules"].what == f"nightly on; next: nightly at {tomorrow:%Y-%m-%d %H:%M} UTC"

    long_ago = datetime.now(UTC) - timedelta(hours=2)
    client.create_flow_run_from_deployment(deployment, state=Scheduled(scheduled_time=long_ago))

    finding = findings()["schedules"]
    assert (finding.level, finding.what) == ("bad", f"late: nightly since {long_ago:%Y-%m-%d %H:%M} UTC")


@pytest.mark.usefixtures("client")
def test_the_page_has_all_of_it_and_ends_badly(shop, knowflow):
    done = knowflow.run("doctor", "--config", shop.config, "--json")

    page = json.loads(done.stdout)
    assert done.returncode == 1
    assert page["bad"] == 3
    names = [one["name"] for one in page["findings"]]
    assert names[:7] == ["versions", "data", "store", "releases", "verified", "engine", "disk"]
    assert names[7:] == ["clock", "deployments", "worker", "schedules", "last runs", "alarms"]


def test_without_a_server_the_page_says_how_to_start_one(shop, plain_knowflow):
    from prefect.settings import PREFECT_API_URL, temporary_settings

    with temporary_settings(restore_defaults={PREFECT_API_URL}):
        done = plain_knowflow.run("doctor", "--config", shop.config)

    assert done.returncode == 1
    assert "BAD   prefect" in done.stdout
    assert "fix: start one: prefect server start" in done.stdout
