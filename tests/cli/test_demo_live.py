"""The live demo on a shop of the tests' own: two engines about the same items, compared on the same rows."""

import json

import pytest

from app.config import load_config
from app.train_runs import list_runs
from app.workplace import open_store
from cli.demo_live import FOLDER, live_demo
from feature_store.releases import list_releases
from tests.command import as_a_command

ARMS = ["knowledge"]


def test_a_missing_model_is_named_with_the_command_that_fetches_it(plain_knowflow):
    done = plain_knowflow.run("demo", "--live", "200", "--model", "nowhere")

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "--model: there is no model in nowhere\n  fetch one: knowflow models fetch smollm2\n"


def test_what_is_compared_must_be_trained(plain_knowflow, tmp_path):
    (tmp_path / "config.json").write_text("{}")

    done = plain_knowflow.run("demo", "--live", "200", "--model", tmp_path, "--arms", "base")

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("--arms: the live demo compares knowledge\n")


@pytest.mark.slow(reason="loads a tiny model into vLLM and trains an arm twice")
@pytest.mark.usefixtures("prefect_server", "vllm")
def test_two_engines_are_compared_on_the_same_rows(make_shop, tiny, tmp_path, monkeypatch, capsys):
    shop = make_shop(items=12, users=40, events=10)
    for name in ("PREFECT_HOME", "PREFECT_RESULTS_LOCAL_STORAGE_PATH", "PREFECT_SERVER_MEMO_STORE_PATH"):
        monkeypatch.setenv(name, "set by the demo, and put back after this test")

    with as_a_command([], tmp_path):
        assert live_demo(shop.config, films=6, users=5, model=tiny, arms=ARMS, json=True) == 0
        told = json.loads(capsys.readouterr().out)
        assert live_demo(shop.config, films=6, users=5, model=tiny, arms=ARMS) == 0  # asks and trains nothing

    configs = {name: load_config(tmp_path / FOLDER / f"{name}.yaml") for name in ("recorded", "live")}
    for name, config in configs.items():
        (release,) = list_releases(open_store(config))
        (run,) = list_runs(config.home_folder)
        assert (told[name]["release"], told[name]["train_run"]) == (release.name, run.name)
        asked = {one["task"]: one["calls"] for one in release.facts["asked"]}
        assert asked == {"kar_item": 6, "kar_user": 4, "item_facts": 0}  # u0 and u12 have the same history
        assert tiny.name in release.facts["model"] or name == "recorded"
        assert set(told[name]["auc"]) == {"constant", *ARMS}
    assert told["live_over_recorded"]["rows"] == 40
    printed = capsys.readouterr()
    assert "with the recorded answers of a large model:" in printed.out
    assert f"The answers of {tiny.name} against the recorded ones, on " in printed.out
