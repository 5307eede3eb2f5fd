"""knowflow simulate: agents against a kept model, their events in a file of their own, wrong use told in words."""

import json

import polars as pl
import pytest

from app.config import load_config
from app.workplace import open_dataset

ANSWER = {"watch": [], "ratings": [], "satisfaction": 6, "feeling": "fine", "next": True}


@pytest.fixture
def agents(compared):
    """A shop with kept models and a release that holds three agents."""
    compared.configure(
        rules={"- Thing ": json.dumps(ANSWER)},
        tasks={**compared.settings["tasks"], "agent4rec": {"agents": 3, "encoders": []}},
    )
    compared.release("agent4rec")
    return compared


def test_agents_are_simulated_within_a_limit_and_the_same_command_goes_on(agents, plain_knowflow):
    call = ("simulate", "knowledge", "--config", agents.config, "--page-size", 4, "--pages", 2)
    before = len(agents.calls("gave"))
    data = {path.name: path.read_bytes() for path in agents.folder.glob("*.parquet")}

    stopped = plain_knowflow.run(*call, "--max-tokens", "1")
    kept = len(agents.calls("gave"))
    done = plain_knowflow.run(*call, "--json")
    shown = plain_knowflow.run(*call)

    assert stopped.returncode == 1
    assert "the answers so far are kept; run the same command again to continue" in stopped.stderr
    assert before < kept < before + 6
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["agents"], told["pages"], told["events"], told["synthetic"]) == (3, 6, 0, True)
    assert told["measures"]["satisfaction"]["mean"] == 6.0
    assert told["measures"]["exit_page"]["mean"] == 2.0
    assert len(agents.calls("gave")) == before + 6  # three agents, two pages each, nothing twice
    file = agents.folder / "runs" / "simulations" / "knowledge.parquet"
    assert told["file"] == str(file)
    assert pl.read_parquet(file).columns == ["agent", "item", "rating", "page", "synthetic"]
    assert json.loads(file.with_suffix(".json").read_text())["release"] == told["release"]
    assert shown.returncode == 0, shown.stderr
    assert f"0 synthetic events  {file}\n" in shown.stdout
    assert {path.name: path.read_bytes() for path in agents.folder.glob("*.parquet")} == data


def test_what_agents_view_stays_out_of_the_data_and_of_every_release(agents, plain_knowflow):
    dataset = open_dataset(load_config(agents.config))
    names = [f"Thing {place}" for place in range(60)]  # all there are: those of the page are viewed
    answer = {**ANSWER, "watch": names, "ratings": ["4.5"] * 60}
    agents.configure(rules={"- Thing ": json.dumps(answer)})

    done = plain_knowflow.run("simulate", "facts", "--config", agents.config, "--pages", 1, "--json")

    told = json.loads(done.stdout)
    events = pl.read_parquet(told["file"])
    assert (told["events"], len(events)) == (15, 15)  # five things on each of three pages
    assert told["measures"]["view_ratio"]["mean"] == told["measures"]["like_ratio"]["mean"] == 1.0
    assert events["synthetic"].all()
    assert told["lost"] == {"items that are not on the page": 3 * 55}
    after = open_dataset(load_config(agents.config))
    assert after.version == dataset.version
    assert after.events.equals(dataset.events)
    status = json.loads(plain_knowflow.run("leak-check", "--config", agents.config, "--json").stdout)
    assert status["release"] == told["release"]


def test_without_a_training_run_the_command_to_run_is_named(shop, plain_knowflow):
    done = plain_knowflow.run("simulate", "knowledge", "--config", shop.config)

    assert done.returncode == 2
    assert "there is no finished training run\n  train first: knowflow train" in done.stderr
    assert not (shop.folder / "runs").exists()


def test_without_a_kept_model_or_agents_the_command_to_run_is_named(compared, plain_knowflow):
    no_model = plain_knowflow.run("simulate", "constant", "--config", compared.config)
    no_run = plain_knowflow.run("simulate", "base", "--run", "train-000009", "--config", compared.config)
    no_agents = plain_knowflow.run("simulate", "base", "--config", compared.config)

    assert [one.returncode for one in (no_model, no_run, no_agents)] == [2, 2, 2]
    assert "there is no kept model of constant; there are: " in no_model.stderr
    assert "knowledge" in no_model.stderr
    assert no_model.stderr.endswith("\n  train again: knowflow train\n")
    assert "there is no training run train-000009" in no_run.stderr
    assert no_agents.stderr == "there are no agents\n  make some: knowflow refresh --task agent4rec\n"
    assert not (compared.folder / "runs" / "simulations").exists()


@pytest.mark.parametrize("wrong", [["--pages", "0"], ["--page-size", "0"], []])
def test_wrong_use_is_told_with_where_to_look(plain_knowflow, wrong):
    arm = ["base"] if wrong else []

    done = plain_knowflow.run("simulate", *arm, *wrong)

    assert done.returncode == 2
    assert done.stderr.endswith("\n  see: knowflow simulate --help\n")
    assert "Traceback" not in done.stderr
