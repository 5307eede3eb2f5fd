"""The evaluation of rewrites: metrics by hand, means and paired intervals against rows that are really repeated."""

import numpy as np
import pytest

from evals.intervals import draw
from evals.rewrites import METRICS, Queries, measure, summarise
from evals.search_arms import Arm


class Given:
    """Relevance by a set of (query, place)."""

    def __init__(self, relevant: set[tuple[str, int]]) -> None:
        self.relevant = relevant

    def scores(self, queries, places):
        told = [[float((q, int(p)) in self.relevant) for p in row] for q, row in zip(queries, places, strict=True)]
        return np.array(told, dtype=np.float32).reshape(places.shape)


def made_queries(number: int) -> Queries:
    names = [f"q{n}" for n in range(number)]
    segment = np.array([("head", "torso", "tail")[n % 3] for n in range(number)])
    return Queries(names, names, [np.array([0, 1])] * number, segment, np.arange(number) % 2 == 0)


def test_metrics_of_a_case_worked_out_by_hand():
    original, better = np.array([[1, 2]]), np.array([[1, 3, 4, 5]])
    queries = Queries(["q"], ["Q"], [np.array([1, 3, 9])], np.array(["tail"]), np.array([True]))
    arms = {"original": Arm("", original[:, :1], original), "recorded": Arm("", better[:, :1], better)}

    values = measure(arms, queries, Given({("Q", 1), ("Q", 3), ("Q", 4)}), 0.5)

    found = {arm: {metric: float(of[metric][0]) for metric in METRICS} for arm, of in values.items()}
    # engaged 1 3 9, relevant 1 3 4: hitrate has 2 below the line
    assert found["original"] == pytest.approx(
        {"hit@10": 1 / 3, "hit@50": 1 / 3, "hitrate": 1 / 2, "relevance": 1 / 2, "increment": 0}
    )
    assert found["recorded"] == pytest.approx(
        {"hit@10": 1 / 3, "hit@50": 2 / 3, "hitrate": 2 / 2, "relevance": 3 / 4, "increment": 2 / 1}
    )


@pytest.fixture
def values() -> dict[str, dict[str, np.ndarray]]:
    random = np.random.default_rng(1)
    out = {name: {metric: random.random(30) for metric in METRICS} for name in ("original", "recorded")}
    for of in out.values():
        of["hitrate"][:4] = np.nan
    return out


def test_means_and_intervals_equal_those_of_rows_that_are_really_repeated(values):
    queries = made_queries(30)
    result = summarise(values, queries, replicates=40, seed=3)
    counts = draw(30, 1, 40, 3).users
    for segment, mask in queries.masks().items():
        for metric in METRICS:
            gain = values["recorded"][metric] - values["original"][metric]
            told = result["arms"]["recorded"][segment][metric]
            for column, shown in ((values["recorded"][metric], told), (gain, told["gain"])):
                drawn = [np.repeat(np.arange(30), counts[:, replicate]) for replicate in range(40)]
                means = [np.nanmean(column[rows[mask[rows]]]) for rows in drawn]
                low, high = np.percentile(means, [2.5, 97.5])
                assert shown["mean"] == pytest.approx(np.nanmean(column[mask]))
                assert (shown["low"], shown["high"]) == pytest.approx((low, high))


def test_the_headline_of_a_segment_is_hit_at_fifty(values):
    result = summarise(values, made_queries(30), replicates=20)
    told = result["segments"]["held_out_tail"]

    assert told["queries"] == 5  # rows 2, 8, 14, 20, 26
    assert told["original"] == pytest.approx(values["original"]["hit@50"][2::6].mean())
    assert told["gain"]["mean"] == pytest.approx(told["recorded"] - told["original"])
    assert result["arms"]["original"]["all"]["hit@50"]["gain"] == {"mean": 0, "low": 0, "high": 0}


def test_an_empty_segment_has_no_numbers_and_no_error(values):
    none = made_queries(30)
    none = Queries(none.query, none.shown, none.engaged, np.array(["tail"] * 30), none.held_out)
    told = summarise(values, none, replicates=20)["segments"]["head"]
    assert told == {
        "queries": 0,
        "original": None,
        "recorded": None,
        "gain": {"mean": None, "low": None, "high": None},
    }


def test_without_recorded_rewrites_there_is_no_gain_of_theirs(values):
    told = summarise({"original": values["original"]}, made_queries(30), replicates=5)["segments"]["all"]
    assert told["recorded"] is None
    assert told["gain"] is None


def test_equal_seeds_give_equal_numbers(values):
    assert summarise(values, made_queries(30), 20, 1) == summarise(values, made_queries(30), 20, 1)
    assert summarise(values, made_queries(30), 20, 1) != summarise(values, made_queries(30), 20, 2)
