"""Pairs to score: they score as the run scored its test rows, see the past alone and never one another."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import polars as pl
import pytest

from app.config import load_config
from app.given_rows import RowColumns
from app.kept_models import find_model, score_events
from app.scoring import score_pairs
from app.train_runs import get_run
from app.workplace import open_dataset
from base.faults import WrongUse


@pytest.fixture(scope="module")
def config(compared_shop):
    return load_config(compared_shop.config)


@pytest.fixture(scope="module")
def log(config):
    return open_dataset(config).events


@pytest.mark.parametrize("arm", ["base", "knowledge", "shuffled"])
def test_the_test_rows_of_a_run_score_as_the_run_scored_them(config, log, arm):
    run, model = get_run(config.home_folder), find_model(config, arm)
    pairs = log.filter(pl.col("part") == "test").select("item", "time", "user", shown="position")

    scored = score_pairs(config, model, pairs)

    with np.load(run.folder / f"{arm}.npz") as noted:
        wanted = noted["test"][run.read("run")["train"]["seeds"].index(model.seed)]
    np.testing.assert_allclose(scored["score"].to_numpy(), wanted, atol=1e-6, rtol=0)
    assert scored.drop("score").equals(pairs)


def test_a_pair_scores_the_same_alone_and_among_others_of_its_user_and_item(config, log):
    model, end = find_model(config, "knowledge"), log["time"].max()
    pairs = pl.DataFrame(
        {
            "user": ["u1", "u1", "u1", "u2", "nobody"],
            "item": ["i3", "i3", "i4", "i3", "nothing"],
            "time": [end + timedelta(hours=hours) for hours in (1, 2, 2, 2, 3)],
        }
    )

    together = score_pairs(config, model, pairs)["score"].to_numpy()

    alone = [score_pairs(config, model, pairs[row])["score"].item() for row in range(len(pairs))]
    # The last digit of a product in single precision depends on how many rows are multiplied at once; what a pair
    # would see of another one shows a hundred times as much.
    np.testing.assert_allclose(together, alone, atol=2e-7, rtol=0)
    assert np.diff(np.sort(together)).min() > 2e-5


def test_a_live_pair_sees_the_whole_log_and_scores_as_an_event_right_after_it(config, log):
    model = find_model(config, "base")
    pairs = pl.DataFrame({"user": ["u1", "u2"], "item": ["i3", "i5"], "time": [None, None]})

    live = score_pairs(config, model, pairs)["score"].to_numpy()

    dataset = open_dataset(config)
    after = [
        log.tail(1).with_columns(
            pl.lit(user).alias("user"), pl.lit(item).alias("item"), pl.col("time") + timedelta(microseconds=1)
        )
        for user, item in zip(pairs["user"], pairs["item"], strict=True)
    ]
    wanted = [
        score_events(config, model, replace(dataset, events=pl.concat([log, one])), np.array([len(log)]))[0]
        for one in after
    ]
    np.testing.assert_allclose(live, wanted, atol=1e-6, rtol=0)
    early = pairs.with_columns(time=pl.lit(log["time"].min()))
    assert np.abs(score_pairs(config, model, early)["score"].to_numpy() - live).min() > 1e-3


def test_everything_that_is_missing_is_reported_at_once_with_the_fix(config):
    model = find_model(config, "knowledge")
    uses = tuple(replace(use, vectors=(*use.vectors, "kar_query/dense")) for use in model.arm.uses)
    other = replace(model, arm=replace(model.arm, uses=uses), fields=replace(model.fields, numbers=("price",)))

    with pytest.raises(WrongUse) as error:
        score_pairs(config, other, pl.DataFrame({"who": ["u1"], "item": [None], "time": ["soon"]}))

    text = str(error.value)
    for line in (
        "rows: 3 faults, nothing was scored",
        "column  user          is missing; there are: who, item, time",
        "column  item          is empty in 1 of 1 rows",
        "line 1  time  'soon'  is not a time",
        "items: 1 fault, nothing was scored\n  the number field price is not in the data",
        "rel-000001: 1 fault, nothing was scored\n  lacks vectors kar_query/dense",
        "fix: make them: knowflow refresh --task kar_query",
        "fix: name it: --user-column NAME",
    ):
        assert line in text
    with pytest.raises(WrongUse, match="column  score  is also the name of a column that is added"):
        score_pairs(config, model, pl.DataFrame({"user": ["u1"], "item": ["i1"], "score": [0.5]}))
    assert len(score_pairs(config, model, pl.DataFrame({"who": ["u1"], "item": ["i1"]}), columns=RowColumns("who")))


def test_the_command_scores_a_file_by_run_and_arm(compared_shop, plain_knowflow, tmp_path):
    rows, out = tmp_path / "pairs.csv", tmp_path / "scores.parquet"
    rows.write_text("member,item,note\nu1,i3,a\nu2,007,b\n")
    words = ["--rows", rows, "--out", out, "--config", compared_shop.config, "--user-column", "member"]

    done = plain_knowflow.run("score", *words, "--model", "train-000001/knowledge")

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("2 rows scored by ")
    assert "2 rows without a time: after everything" in done.stderr
    scores = pl.read_parquet(out)
    assert scores.select("member", "item", "note").rows() == [("u1", "i3", "a"), ("u2", "007", "b")]
    assert scores["score"].is_between(0, 1).all()
    wrong = plain_knowflow.run("score", *words, "--model", "nothing")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert "there is no kept model of nothing; there are: base" in wrong.stderr
    lost = plain_knowflow.run("score", "--rows", tmp_path / "no.csv", *words[2:], "--model", "base")
    assert "no.csv: there is no such file" in lost.stderr
