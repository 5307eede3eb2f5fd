"""The gate over clicks: the last release's run on the same rows; it warns, or fails the run and names the way back."""

import json
import shutil

import numpy as np
import polars as pl
import pytest

from app.clicks import check_clicks, judge_clicks
from app.config import load_config
from app.train_runs import TrainRun, get_run
from base.progress import silent
from feature_store.gate import ClicksFell


def another(shop, release: str = "rel-000099") -> TrainRun:
    """The shop's run once more, of another release."""
    first = get_run(shop.folder / "runs", "train-000001")
    made = TrainRun(shutil.copytree(first.folder, first.folder.with_name("train-000002")))
    made.write("run", {**first.read("run"), "release": release})
    return made


def predict(run: TrainRun, right: float) -> None:
    """Let the main arm of a run predict a share of the rows right, and the others the wrong way round."""
    label = pl.read_parquet(run.folder / "rows.parquet")["label"].to_numpy()
    turned = np.random.default_rng(0).random(len(label)) < right
    with np.load(run.folder / "knowledge.npz") as scored:
        scores = dict(scored)
    one = 0.25 + 0.5 * np.where(turned, label, 1 - label)
    scores["test"] = np.broadcast_to(one, scores["test"].shape).astype(np.float32)
    np.savez(run.folder / "knowledge.npz", **scores)


def test_the_same_predictions_are_no_fall_and_the_gate_is_in_the_result(compared):
    config, run = load_config(compared.config), another(compared)

    gate = judge_clicks(config, run, silent)

    assert gate is not None
    assert gate.holds
    assert gate.found.startswith("AUC of knowledge against rel-000001 on 80 rows of 40 users that both runs test: 0.0")
    assert run.read("result")["gates"] == [json.loads(json.dumps(vars(gate)))]
    check_clicks(run)


def test_a_fall_warns_unless_it_is_to_block_and_then_the_way_back_is_named(compared):
    run = another(compared)
    predict(get_run(compared.folder / "runs", "train-000001"), right=0.9)
    predict(run, right=0.3)
    warned = judge_clicks(load_config(compared.config), run, silent)
    check_clicks(run)
    compared.configure(gates={"warn": []})

    closed = judge_clicks(load_config(compared.config), run, silent)

    assert warned is not None
    assert closed is not None
    assert (warned.holds, warned.blocks, closed.holds, closed.blocks) == (False, False, False, True)
    with pytest.raises(ClicksFell, match="to go back to it: knowflow release rollback rel-000001"):
        check_clicks(run)


def test_without_a_run_of_another_release_there_is_nothing_to_compare_with(compared):
    config, run = load_config(compared.config), another(compared, release="rel-000001")

    assert judge_clicks(config, run, silent) is None
    assert "gates" not in run.read("result")


@pytest.mark.slow(reason="trains two arms")
def test_the_command_says_what_the_gate_found(compared, knowflow):
    another(compared, release="rel-000000")

    done = knowflow.run("train", "--arms", "base,knowledge", "--config", str(compared.config))

    assert done.returncode == 0, done.stderr
    assert "knowledge clicks: AUC of knowledge against rel-000000 on 80 rows" in done.stderr
