"""The evaluation of rewrites: metrics by hand, means and paired intervals against rows that are really repeated."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals.by_user import expanded
from evals.rewrites import METRICS, Queries, found, measure, shared, summarise
from retrieval.search_arms import Arm


class Given:
    """Relevance by a set of (query, place)."""

    def __init__(self, relevant: set[tuple[str, int]]) -> None:
        self.relevant = relevant

    def scores(self, queries, places):
        told = [[float((q, int(p)) in self.relevant) for p in row] for q, row in zip(queries, places, strict=True)]
        return np.array(told, dtype=np.float32).reshape(places.shape)


def queries_of(engaged: list[list[int]], users: list[list[list[int]]], segment: list[str], held_out: list[bool]):
    """Queries q0, q1 ...: what each led to, and the users who came to each of these items."""
    names = [f"q{n}" for n in range(len(engaged))]
    told = [
        (row, place, user)
        for row, (places, whose) in enumerate(zip(engaged, users, strict=True))
        for place, many in zip(places, whose, strict=True)
        for user in many
    ]
    row, place, user = np.array(told).T
    parts = shared(row, place, user)
    return Queries(names, names, list(map(np.array, engaged)), np.array(segment), np.array(held_out), place, parts)


def made_queries(number: int, segments: tuple[str, ...] = ("head", "torso", "tail"), users: int = 30) -> Queries:
    """Every query led to the items 0 and 1, the first of which two users came to."""
    whose = [[[n % users, (n + 1) % users], [n % users]] for n in range(number)]
    segment = [segments[n % len(segments)] for n in range(number)]
    return queries_of([[0, 1]] * number, whose, segment, [n % 2 == 0 for n in range(number)])


def test_metrics_of_a_case_worked_out_by_hand():
    original, better = np.array([[1, 2]]), np.array([[1, 3, 4, 5]])
    queries = queries_of([[1, 3, 9]], [[[0], [0, 1], [1]]], ["tail"], [True])
    arms = {"original": Arm("", original[:, :1], original), "recorded": Arm("", better[:, :1], better)}

    values = measure(arms, queries, Given({("q0", 1), ("q0", 3), ("q0", 4)}), 0.5)

    means = {arm: {metric: float(queries.mean(of[metric])[0]) for metric in METRICS} for arm, of in values.items()}
    # engaged 1 3 9, relevant 1 3 4: hitrate has 2 below the line
    assert means["original"] == pytest.approx(
        {"hit@10": 1 / 3, "hit@50": 1 / 3, "hitrate": 1 / 2, "relevance": 1 / 2, "increment": 0}
    )
    assert means["recorded"] == pytest.approx(
        {"hit@10": 1 / 3, "hit@50": 2 / 3, "hitrate": 2 / 2, "relevance": 3 / 4, "increment": 2 / 1}
    )


def test_a_query_is_shared_by_its_items_and_an_item_by_its_users():
    queries = queries_of([[1, 3], [5]], [[[7], [7, 8, 9]], [[8]]], ["tail"] * 2, [True] * 2)

    assert queries.parts.of.tolist() == [0, 0, 0, 0, 1]
    assert queries.parts.weight.tolist() == pytest.approx([1 / 2, 1 / 6, 1 / 6, 1 / 6, 1])
    # Item 1 is found and item 3 is not: half of query 0, whoever came to it.
    assert queries.mean(np.array([1.0, 0, 0, 0, 1])).tolist() == pytest.approx([0.5, 1.0])


@pytest.fixture
def values() -> dict[str, dict[str, np.ndarray]]:
    """Of the 90 parts of 30 queries."""
    random = np.random.default_rng(1)
    out = {name: {metric: random.random(90) for metric in METRICS} for name in ("original", "recorded")}
    for of in out.values():
        of["hitrate"][:12] = np.nan
    return out


def test_means_and_intervals_equal_those_of_users_whose_parts_are_really_repeated(values):
    queries = made_queries(30)
    result = summarise(values, queries, replicates=40, seed=3)
    parts, counts = queries.parts, queries.parts.draws(40, 3)
    for segment in ("all", "held_out"):
        inside = queries.masks()[segment][parts.of]
        for metric in METRICS:
            gain = values["recorded"][metric] - values["original"][metric]
            told = result["arms"]["recorded"][segment][metric]
            for column, shown in ((values["recorded"][metric], told), (gain, told["gain"])):
                rows = np.flatnonzero(inside & ~np.isnan(column))
                drawn = [np.repeat(rows, counts[parts.user[rows], replicate]) for replicate in range(40)]
                means = [np.average(column[one], weights=parts.weight[one]) for one in drawn]
                weights = np.bincount(parts.user[rows], parts.weight[rows])
                inner = expanded(weights.sum() ** 2 / (weights**2).sum())
                low, high = np.percentile(means, [50 * (1 - inner), 50 * (1 + inner)])
                assert shown["mean"] == pytest.approx(np.average(column[rows], weights=parts.weight[rows]))
                assert (shown["low"], shown["high"]) == pytest.approx((low, high))
                assert shown["users"] == 30 if metric != "hitrate" else shown["users"] <= 30


def test_the_headline_of_a_segment_is_hit_at_fifty(values):
    queries = made_queries(30)
    result = summarise(values, queries, replicates=20)
    told = result["segments"]["held_out_tail"]

    assert told["queries"] == 5  # rows 2, 8, 14, 20, 26
    assert told["original"] == pytest.approx(queries.mean(values["original"]["hit@50"])[2::6].mean())
    assert told["gain"]["mean"] == pytest.approx(told["recorded"] - told["original"])
    gain = result["arms"]["original"]["all"]["hit@50"]["gain"]
    assert (gain["mean"], gain["low"], gain["high"]) == (0, 0, 0)


def test_an_empty_segment_has_no_numbers_and_no_error(values):
    told = summarise(values, made_queries(30, ("tail",)), replicates=20)["segments"]["head"]
    assert told == {
        "queries": 0,
        "original": None,
        "recorded": None,
        "gain": {"mean": None, "low": None, "high": None, "users": 0, "largest_user": None},
    }


def test_under_twenty_users_there_is_a_mean_and_no_interval(values):
    few = summarise(values, made_queries(30, users=19), replicates=20)["segments"]["all"]["gain"]
    enough = summarise(values, made_queries(30, users=20), replicates=20)["segments"]["all"]["gain"]

    assert (few["users"], few["low"], few["high"]) == (19, None, None)
    assert few["mean"] is not None
    assert enough["low"] < enough["mean"] < enough["high"]


def test_without_recorded_rewrites_there_is_no_gain_of_theirs(values):
    told = summarise({"original": values["original"]}, made_queries(30), replicates=5)["segments"]["all"]
    assert told["recorded"] is None
    assert told["gain"] is None


def test_equal_seeds_give_equal_numbers(values):
    assert summarise(values, made_queries(30), 20, 1) == summarise(values, made_queries(30), 20, 1)
    assert summarise(values, made_queries(30), 20, 1) != summarise(values, made_queries(30), 20, 2)


@given(st.lists(st.lists(st.integers(0, 12), unique=True, max_size=6), min_size=1, max_size=5), st.data())
def test_what_a_query_finds_is_what_stands_in_its_own_list(lists, data):
    width = max(map(len, lists)) + 1
    ranking = np.array([[*one, *[-1] * (width - len(one))] for one in lists])
    wanted = data.draw(st.lists(st.tuples(st.integers(0, len(lists) - 1), st.integers(0, 12)), min_size=1, max_size=20))
    row, place = np.array(wanted).T

    # Written out with one code for each pair of query and place.
    codes = (np.arange(len(ranking))[:, None] * 13 + ranking)[ranking >= 0]
    assert np.array_equal(found(ranking, row, place), np.isin(row * 13 + place, codes).astype(np.float64))
