"""The nightly flow: refresh, train and report on each other's results."""

import json
from datetime import timedelta

import pytest

from app.comparison import finished_run
from app.config import load_config
from app.train_runs import get_run, list_runs
from feature_store.releases import get_release
from flows.nightly import nightly

pytestmark = pytest.mark.usefixtures("prefect_server")


def test_the_first_night_makes_a_release_a_comparison_and_a_report(compared_shop, prefect_has):
    seen = prefect_has(f"nightly {compared_shop.config}")
    home = compared_shop.folder / "runs"

    assert seen.run.state.is_completed()
    assert sorted(task.name for task in seen.tasks) == [f"{stage}-0" for stage in ("refresh", "report", "train")]
    assert get_run(home).read("run")["release"] == get_release(compared_shop.place().store).name == "rel-000001"
    assert json.loads((home / "report.json").read_text())["train_run"] == "train-000001"
    asked = json.loads(prefect_has(f"refresh {compared_shop.config}").artifacts["refresh"].data)
    assert [(row["task"], row["calls"]) for row in asked] == [("kar_item", 60), ("kar_user", 80), ("item_facts", 0)]


@pytest.mark.slow(reason="a night after the shared one: an encoder's model is loaded, two arms are trained")
def test_the_next_night_asks_only_about_new_events_and_compares_on_the_new_release(compared):
    calls = len(compared.calls())
    user, _, time, rating = compared.events()[-1]
    compared.write_events([*compared.events(), (user, "i59", time + timedelta(hours=9), rating)])

    done = nightly(config=str(compared.config), arms=["base", "kar_item"])

    assert done == {
        "release": "rel-000002",
        "train_run": "train-000002",
        "report": str(compared.folder / "runs" / "report.html"),
    }
    # Of the user's snapshots at 50% and 100% the first still stands after floor(10.5) events, the second after 21.
    assert len(compared.calls()) - calls == 1
    run = get_run(compared.folder / "runs")
    assert run.read("run")["release"] == "rel-000002"
    assert list(run.read("result")["arms"]) == ["constant", "base", "kar_item"]

    # A night on which nothing is new trains nothing; other arms or settings are another comparison.
    assert nightly(config=str(compared.config), arms=["base", "kar_item"]) == done
    assert [run.name for run in list_runs(compared.folder / "runs")] == ["train-000001", "train-000002"]
    assert finished_run(load_config(compared.config), ["base"], "rel-000002") is None
    assert finished_run(load_config(compared.config), ["base", "kar_item"], "rel-000001") is None
    compared.configure(train={**compared.settings["train"], "seeds": [7]})
    assert finished_run(load_config(compared.config), ["base", "kar_item"], "rel-000002") is None
