"""`knowflow ops setup`: what scheduled runs need is on the server, and a second call changes nothing."""

import json

import pytest

from flows.automations import end_dead_runs
from flows.setup import POOL

NAMES = [one.name for one in end_dead_runs()]


def steps(knowflow, *words: str) -> dict[str, str]:
    done = knowflow.run("ops", "setup", "--json", *words)
    assert done.returncode == 0, done.stderr
    return {step["name"]: step["does"] for step in json.loads(done.stdout)["steps"]}


def automations() -> dict[str, object]:
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        return {one.name: one for one in client.read_automations()}


@pytest.mark.usefixtures("empty_server")
def test_a_dry_run_creates_nothing_a_second_call_changes_nothing_and_a_third_corrects_what_was_changed(knowflow):
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.actions import WorkPoolUpdate

    assert steps(knowflow, "--dry-run") == dict.fromkeys([POOL, *NAMES], "creates")
    assert automations() == {}
    assert steps(knowflow) == dict.fromkeys([POOL, *NAMES], "creates")
    made = automations()
    assert sorted(made) == sorted(NAMES)
    assert steps(knowflow) == dict.fromkeys([POOL, *NAMES], "keeps")
    assert automations() == made

    with get_client(sync_client=True) as client:
        client.update_work_pool(POOL, WorkPoolUpdate(concurrency_limit=7))
        client.delete_automation(made[NAMES[0]].id)
        changed = end_dead_runs()[1].model_copy(update={"description": "somebody's own", "enabled": False})
        client.update_automation(made[NAMES[1]].id, changed)
    wanted = {POOL: "changes", NAMES[0]: "creates", NAMES[1]: "changes", NAMES[2]: "keeps"}
    assert steps(knowflow, "--dry-run") == wanted
    assert steps(knowflow) == wanted
    again = automations()
    assert again[NAMES[1]].description == made[NAMES[1]].description
    assert not again[NAMES[1]].enabled  # who has switched it off finds it switched off
    assert again[NAMES[1]].id == made[NAMES[1]].id


def test_without_a_server_it_says_how_to_start_one(plain_knowflow):
    from prefect.settings import PREFECT_API_URL, temporary_settings

    with temporary_settings(restore_defaults={PREFECT_API_URL}):
        done = plain_knowflow.run("ops", "setup")

    assert done.returncode == 2
    assert "PREFECT_API_URL is not set" in done.stderr
    assert "start one: prefect server start" in done.stderr
