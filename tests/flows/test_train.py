"""The train flow: one process an arm, the documented result, the same numbers from the same seeds."""

import json
import math
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal, get_args, get_origin, get_type_hints

import numpy as np
import pytest
from prefect import Task
from pydantic import BaseModel

from app.arm_memory import START, Peak, earlier_peaks
from app.arm_runs import arms_of, run_arm
from app.comparison import begin_run
from app.config import load_config
from app.run_inputs import shared_inputs
from app.samples import open_samples, open_windows
from app.train_runs import TrainRun, get_run, list_runs
from base.faults import CheckFailed, WrongUse
from base.plugins import UnknownPlugin
from base.progress import silent
from ctr.kept import ItemFields
from evals.conclusion import conclude_both
from evals.metrics import FUNCTIONS
from feature_store.releases import NoRelease, get_release
from flows.train import train

pytestmark = pytest.mark.usefixtures("prefect_server")
ARMS = ["constant", "base", "facts", "knowledge", "shuffled", "random"]
CONTROLS = ["base", "facts", "shuffled", "random", "constant"]
SEGMENTS = ["all", "warm", "cold", "cold_with_knowledge"]
METRICS = list(FUNCTIONS)


def result_of(shop, name: str | None = None) -> dict[str, Any]:
    return get_run(shop.folder / "runs", name).read("result")


def test_a_result_has_every_arm_segment_and_metric_in_the_documented_shape(compared_shop):
    result = result_of(compared_shop)

    assert list(result["arms"]) == ARMS
    assert result["controls"] == CONTROLS
    assert {"auc", "gauc", "logloss", "ece"} <= set(METRICS)
    for arm, by_segment in result["arms"].items():
        assert list(by_segment) == SEGMENTS
        for by_metric in by_segment.values():
            assert list(by_metric) == METRICS
            for metric, values in by_metric.items():
                assert list(values) == ["mean", "sd", "values"] + ["floor"] * (metric == "ece")
                assert len(values["values"]) == 2  # one a seed
                if None not in values["values"]:  # undefined where a segment lacks one of the labels
                    assert values["mean"] == pytest.approx(sum(values["values"]) / 2)
        assert list(result["gains"][arm]) == [control for control in CONTROLS if control != arm]
        for control, gains in result["gains"][arm].items():
            assert list(gains) == SEGMENTS
            for segment, by_metric in gains.items():
                assert list(by_metric) == METRICS
                for metric, gain in by_metric.items():
                    assert list(gain) == ["mean", "low", "high"]
                    ours, theirs = (result["arms"][a][segment][metric]["mean"] for a in (arm, control))
                    assert (gain["mean"] is None) == (ours is None)
                    if ours is not None:
                        assert gain["mean"] == pytest.approx(ours - theirs)
    assert result["conclusion"] == conclude_both(result, result["rolling"])
    assert result["segments"]["all"]["rows"] == 80  # the last 2 of 20 events of each of 40 users
    assert result["segments"]["warm"]["rows"] + result["segments"]["cold"]["rows"] == 80
    assert result["segments"]["cold_with_knowledge"]["rows"] == result["segments"]["cold"]["rows"] == 9
    assert json.loads(json.dumps(result, allow_nan=False)) == result


def test_two_runs_with_the_same_seeds_give_the_same_numbers_whatever_else_is_trained(compared, knowflow):
    before = result_of(compared)

    done = knowflow.run("train", "--config", str(compared.config), "--arms", "random,base", "--json")

    again = json.loads(done.stdout)
    assert again["train_run"] == "train-000002"
    assert again["arms"] == {arm: before["arms"][arm] for arm in ("constant", "random", "base")}
    assert again["gains"]["random"]["base"] == before["gains"]["random"]["base"]
    assert again["rolling"]["arms"] == {arm: before["rolling"]["arms"][arm] for arm in ("constant", "random", "base")}
    assert again["segments"] == before["segments"]


def test_prefect_shows_named_tasks_and_the_tables_of_the_arms(compared_shop, prefect_has):
    seen = prefect_has(f"train {compared_shop.config}")
    result = result_of(compared_shop)

    assert seen.run.state.is_completed()
    assert sorted(task.name for task in seen.tasks) == sorted(
        ["begin", "compare", *(f"train {arm}" for arm in ARMS[1:])]
    )
    assert all(task.state.is_completed() for task in seen.tasks)
    arms, gains = (json.loads(seen.artifacts[key].data) for key in ("arms", "gains"))
    assert [row["arm"] for row in arms] == ARMS
    assert [row["arm"] for row in gains] == ARMS[1:]  # the constant is there to be beaten
    for row in arms:
        auc = result["arms"][row["arm"]]["all"]["auc"]
        assert row["AUC"] == f"{auc['mean']:.4f} ± {auc['sd']:.4f}"
        assert (
            row["AUC, cold with knowledge"] == f"{result['arms'][row['arm']]['cold_with_knowledge']['auc']['mean']:.4f}"
        )
    gain = result["gains"]["random"]["base"]["all"]["auc"]
    assert gains[-1]["against base"] == f"{gain['mean']:+.4f} [{gain['low']:+.4f}, {gain['high']:+.4f}]"


def test_only_ids_paths_and_small_tables_of_text_go_between_tasks():
    from flows import nightly, refresh, report, train

    def plain(kind: Any) -> bool:
        if get_origin(kind) is Literal:
            return all(type(value) in (str, int, bool) for value in get_args(kind))
        if get_origin(kind) in (list, tuple, dict) or get_args(kind):
            return all(plain(inner) for inner in get_args(kind))
        if isinstance(kind, type) and issubclass(kind, BaseModel):  # a frozen parameter of a flow, as its page shows it
            fields = [field.annotation for field in kind.model_fields.values()]
            return bool(kind.model_config.get("frozen")) and all(map(plain, fields))
        return kind in (str, bool, int, float, type(None), dict, ...)

    found = {
        value
        for module in (nightly, refresh, report, train)
        for value in vars(module).values()
        if isinstance(value, Task)
    }
    assert {task.fn.__name__ for task in found} >= {
        "ask",
        "encode",
        "release",
        "begin",
        "train_arm",
        "compare",
        "write",
    }
    for task in found:
        for name, kind in get_type_hints(task.fn).items():
            assert plain(kind), f"{task.fn.__module__}.{task.fn.__name__}: {name} is {kind}"
        assert (task.persist_result, task.retries) == (False, 0)


def test_what_cannot_be_compared_is_told_before_a_run_is_begun(shop):
    with pytest.raises(NoRelease, match="nothing has been released yet"):
        train(config=str(shop.config))
    shop.ask("item_facts")
    shop.encode("item_facts")
    from flows.refresh import refresh

    refresh(config=str(shop.config), tasks=["item_facts"])

    with pytest.raises(
        UnknownPlugin, match=r"no such arm: knowlege, kar_item\n  there are: item_facts, constant, base, "
    ):
        train(config=str(shop.config), arms=["base", "knowlege", "kar_item"])
    with pytest.raises(NoRelease, match="holds no vectors of item_facts under dense"):
        train(config=str(shop.config), arms=["base", "facts"])
    with pytest.raises(NoRelease, match="there is no release 'rel-000009'"):
        train(config=str(shop.config), release="rel-000009")
    assert not (shop.folder / "runs" / "train").exists()


def test_an_arm_that_fails_tells_what_it_said_last_and_the_run_has_no_result(compared):
    compared.configure(train={"seeds": [0], "batch_size": 64, "learning_rate": 1e30, "backbone": "dcnv2", "search": []})

    with pytest.raises(CheckFailed) as failed:
        train(config=str(compared.config), arms=["base"])

    log = compared.folder / "runs" / "train" / "train-000002" / "base.log"
    assert str(failed.value) == (
        "arm base: training stopped with exit code 1\n"
        "  training ran off to infinity in epoch 1\n"
        "    lower train.learning_rate, which is 1e+30\n"
        f"  full output: {log}"
    )
    assert [one.name for one in list_runs(compared.folder / "runs")] == ["train-000001"]
    with pytest.raises(WrongUse, match=r"train-000002: did not finish \(it has no result\.json\)"):
        get_run(compared.folder / "runs", "train-000002").read("result")


def test_no_arm_begins_once_its_flow_has_ended(shop):
    from flows.refresh import refresh

    refresh(config=str(shop.config))
    config = load_config(shop.config)
    run = begin_run(config, ["base"], None)

    with pytest.raises(CheckFailed, match="arm base: not trained, train-000001 was stopped"):
        run_arm(config, run, "base", silent)
    assert not (run.folder / "base.log").exists()


def test_what_arms_read_is_that_of_the_data_and_is_deleted_when_they_have_ended(shop):
    from flows.refresh import refresh

    refresh(config=str(shop.config))
    config = load_config(shop.config)
    run = begin_run(config, ["base"], None)
    given, dataset = shared_inputs(run), shop.place().dataset

    np.testing.assert_array_equal(given.samples.statistics, open_samples(config, dataset).statistics)
    for found, right in zip(given.windows, open_windows(config, dataset), strict=True):
        np.testing.assert_array_equal(found, right)
    assert given.fields == ItemFields.of(dataset)
    with arms_of(config, run.name):
        assert run.shared.is_dir()
    assert not run.shared.exists()
    with pytest.raises(CheckFailed, match=r"train-000001: .*inputs\.json is gone\n  train again: knowflow train"):
        shared_inputs(run)


def test_arms_train_one_after_the_other_where_memory_is_short_and_the_next_run_knows_what_they_took(shop):
    from flows.refresh import refresh

    refresh(config=str(shop.config))
    config = load_config(shop.config)
    guessed = begin_run(config, ["base", "kar_item"], None)
    need = guessed.read("run")["guessed_bytes"]
    assert START < need["base"] < need["kar_item"] < START + 2**20  # of a tiny shop

    def train_both(run: TrainRun, free: int) -> dict[str, Any]:
        with arms_of(config, run.name, free=lambda: free), ThreadPoolExecutor(2) as threads:
            list(threads.map(lambda name: run_arm(config, run, name, silent), ["kar_item", "base"]))
        return run.read("at_once")

    short = train_both(guessed, 0)

    assert short["arms"] == 1
    assert short["limit"].startswith("1 arm trains for now, because memory is short: arm ")
    assert set(short["peaks"]) == {"base", "kar_item"}
    for peak in short["peaks"].values():
        assert 150 * 2**20 < peak["measured"] < 800 * 2**20  # torch alone takes 150 MiB
        assert peak["whole"]
    again = begin_run(config, ["base", "kar_item"], None)
    measured = earlier_peaks(config.home_folder, again)
    assert measured == {name: Peak(**peak) for name, peak in short["peaks"].items()}
    assert train_both(again, sum(one.measured for one in measured.values()) + 2**30)["arms"] == 2


def test_a_run_notes_what_it_compares_before_it_trains(shop):
    from flows.refresh import refresh

    refresh(config=str(shop.config))
    run = begin_run(load_config(shop.config), ["base", "kar_item", "kar_user"], None)

    noted = run.read("run")
    assert noted["release"] == get_release(shop.place().store).name == "rel-000001"
    assert list(noted["arms"]) == ["constant", "base", "kar_item", "kar_user"]  # in every table
    assert noted["uses"]["kar_user"] == [["concat", ["kar_user/lexical"]]]
    assert noted["data_version"] == shop.place().dataset.version
    assert noted["data"]["Rows"] == "16 training, 0 validation, 4 test"  # of 5 events: floor(4), floor(4.5), the rest
    # 12 items have an answer from the epoch on; of a user's 5 events those after the 2nd see the snapshot of the 2nd.
    assert noted["coverage"]["kar_item"] == {"all": 1.0, "test": 1.0, "cold": 1.0}
    assert noted["coverage"]["kar_user"]["all"] == pytest.approx(3 / 5)
    assert math.isclose(noted["begun"], run.folder.stat().st_ctime, abs_tol=60)


def test_runs_are_numbered_and_an_unfinished_one_is_passed_over(tmp_path):
    from app.train_runs import new_run

    with pytest.raises(WrongUse, match="there is no finished training run\n  train first: knowflow train"):
        get_run(tmp_path)
    first, second, third = new_run(tmp_path), new_run(tmp_path), new_run(tmp_path)
    first.write("result", {"a": 1})
    second.write("result", {"a": 2})

    assert [run.name for run in (first, second, third)] == ["train-000001", "train-000002", "train-000003"]
    assert get_run(tmp_path) == second
    assert get_run(tmp_path, "train-000001").read("result") == {"a": 1}
    with pytest.raises(
        WrongUse, match="there is no training run train-000009; the newest are train-000001, train-000002"
    ):
        get_run(tmp_path, "train-000009")
    with pytest.raises(WrongUse, match=r"train-000003: did not finish \(it has no result\.json\)"):
        third.read("result")
