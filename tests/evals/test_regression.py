"""One arm of two runs on the rows that both have: the difference of AUC, its interval, and how often it cries wolf."""

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import roc_auc_score

from evals.regression import Judged, compare_runs

USERS, ROWS, SEEDS = 60, 20, 3


def run(chance: np.random.Generator, rows: pl.DataFrame, skill: float) -> Judged:
    """Predictions that follow the label by some skill; each seed has its own noise."""
    label = rows["label"].to_numpy()
    noise = chance.normal(size=(SEEDS, len(label)))
    return Judged(rows, (1 / (1 + np.exp(-(skill * label + noise)))).astype(np.float32))


def some_rows(chance: np.random.Generator, first: int = 0) -> pl.DataFrame:
    count = USERS * ROWS
    label = chance.integers(0, 2, count).astype(np.float32)
    keys = np.arange(first, first + count, dtype=np.uint64)
    return pl.DataFrame({"key": keys, "label": label, "user": np.repeat(np.arange(USERS), ROWS)})


def test_the_difference_is_that_of_the_rows_in_both_runs_alone():
    chance = np.random.default_rng(0)
    rows = some_rows(chance)
    now = run(chance, rows.slice(200), 0.5)
    then = run(chance, rows.head(1000).sample(fraction=1, shuffle=True, seed=1), 1.5)

    fall = compare_runs(now, then)

    order = np.argsort(then.rows["key"].to_numpy())
    label = rows["label"].to_numpy()[200:1000]
    worse, better = (
        np.mean([roc_auc_score(label, one) for one in of])
        for of in (now.probabilities[:, :800], then.probabilities[:, order[200:]])
    )
    assert (fall.rows, fall.users) == (800, 40)
    assert fall.mean == pytest.approx(worse - better)
    assert fall.high is not None
    assert fall.high < 0


def test_two_runs_of_the_same_skill_are_called_a_fall_in_one_of_twenty_nights_at_most():
    falls = 0
    for night in range(40):
        chance = np.random.default_rng(night)
        rows = some_rows(chance)
        fall = compare_runs(run(chance, rows, 1.0), run(chance, rows, 1.0))
        assert fall.high is not None
        falls += fall.high < 0

    assert falls <= 2  # 2.5% are expected


def test_rows_that_say_nothing_give_no_interval_and_say_why():
    chance = np.random.default_rng(0)
    rows = some_rows(chance)
    few = rows.filter(pl.col("user") < 5)

    none = compare_runs(run(chance, rows, 1), run(chance, some_rows(chance, first=10**6), 1))
    too_few = compare_runs(run(chance, few, 1), run(chance, few, 1))

    assert (none.rows, none.mean, none.why) == (0, None, "no row of each label is in both runs")
    assert (too_few.users, too_few.low) == (5, None)
    assert too_few.why
