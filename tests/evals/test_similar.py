"""Item to item (N8): the query is absent from its pool, recall is monotone in k, and the numbers by hand."""

import json

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals.by_user import Parts
from evals.similar import (
    WEIGHTS,
    Pairs,
    Score,
    by_lift,
    choose_pairs,
    choose_weight,
    cosine,
    evaluate_setting,
    gain,
    hits,
    ranked,
    recalls,
    with_prior,
)


def pairs_of(*pairs: tuple[int, int]) -> Pairs:
    table = np.array(sorted(pairs))
    query, row = np.unique(table[:, 0], return_inverse=True)
    return Pairs(query, row, table[:, 1])


def test_the_query_takes_no_place_of_its_own_pool():
    alike = np.eye(3) + 0.1 * np.arange(3)  # every item is most like itself; of the others the last is best

    found = recalls(lambda query: alike[query], pairs_of((0, 2), (1, 2), (2, 1)), at=(1,))

    assert found.ravel().tolist() == [1, 1, 1]


def test_equal_scores_stand_in_the_order_of_the_pool():
    found = recalls(lambda query: np.zeros((len(query), 4)), pairs_of((1, 0), (1, 3)), at=(1, 2, 3))

    assert found.tolist() == [[0.5, 0.5, 1.0]]  # the pool of item 1 is 0, 2, 3


@given(st.integers(0, 10_000))
def test_recall_never_falls_with_k_and_equals_a_loop(seed):
    chance = np.random.default_rng(seed)
    scores, ks = chance.integers(0, 4, (7, 7)).astype(float), (1, 2, 3, 6)
    pairs = pairs_of(*{(int(a), int(b)) for a, b in chance.integers(0, 7, (9, 2)) if a != b} | {(0, 1)})

    found = recalls(lambda query: scores[query], pairs, ks)

    assert (np.diff(found, axis=1) >= 0).all()
    for number, query in enumerate(pairs.query):
        best = sorted((item for item in range(7) if item != query), key=lambda item: (-scores[query, item], item))
        targets = set(pairs.target[pairs.row == number].tolist())
        assert found[number].tolist() == pytest.approx([len(targets & set(best[:k])) / len(targets) for k in ks])


def test_pairs_keep_to_the_items_that_may_be_asked_for_and_found():
    table = pl.DataFrame({"source": ["a", "a", "b", "c"], "target": ["b", "c", "c", "b"], "score": [1.0] * 4})
    held_out = np.array([False, True, True])

    found = choose_pairs(table, ["a", "b", "c"], held_out, held_out)

    assert (found.query.tolist(), found.row.tolist(), found.target.tolist()) == ([1, 2], [0, 1], [2, 1])


def test_lift_divides_by_what_popularity_alone_would_give():
    table = pl.DataFrame({"source": ["a", "a", "b"], "target": ["p", "r", "p"], "score": [2.0, 1.0, 3.0]})

    found = by_lift(table, one_user=0.5)

    # all 6; a 3, b 3; p 5, r 1: expected a -> p 2.5, a -> r 0.5, b -> p 2.5
    assert found.select("source", "target").rows() == [("a", "r"), ("a", "p"), ("b", "p")]
    assert found["score"].to_list() == pytest.approx([1 / 1.0, 2 / 3.0, 3 / 3.0])


def test_the_prior_is_added_and_its_weight_is_the_one_that_finds_most():
    popularity = np.array([0.0, 0.0, 100.0])
    score = cosine(np.array([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0]]))

    assert with_prior(score, popularity, 2.0)(np.array([0]))[0, 2] == pytest.approx(2 * np.log(101))
    many = pairs_of(*[(0, 2)])
    assert choose_weight(score, popularity, many) == 0.0  # among 100 everything is found: the first weight


ITEMS = 40


def two_worlds() -> tuple[dict[str, Score], np.ndarray, Pairs, Pairs]:
    """Arms, popularity, pairs that test and pairs that validate: 20 items are asked about in either, for two others.

    Validation queries (0 to 9) go on to what is like them, the least popular items: any prior harms. Test queries (10 to
    19) go on to the most popular ones: the strongest prior finds all.
    """
    chance = np.random.default_rng(0)
    popularity = np.arange(ITEMS, dtype=float)
    like = np.zeros((ITEMS, ITEMS))
    like[:, 20:22] = 1.0
    arms: dict[str, Score] = {
        "popularity": lambda query: np.tile(popularity, (len(query), 1)),
        "facts": lambda query: like[query],
        "tuned": lambda query: like[query] + 1e-3 * chance.permutation(ITEMS),
    }
    tested = pairs_of(*[(query, target) for query in range(10, 20) for target in (38, 39)])
    parts = Parts(np.arange(20), np.repeat(np.arange(10), 2) + 10 * (np.arange(20) % 2), np.full(20, 1 / 2))
    validating = pairs_of(*[(query, target) for query in range(10) for target in (20, 21)])
    return arms, popularity, Pairs(tested.query, tested.row, tested.target, parts), validating


def test_the_weight_of_the_prior_is_chosen_on_the_pairs_that_validate_and_never_on_those_that_test():
    arms, popularity, tested, validating = two_worlds()

    found = evaluate_setting(arms, popularity, tested, validating, "facts", "tuned", at=(2, 5), headline=2)

    assert found["arms"]["facts + prior"]["prior_weight"] == WEIGHTS[0]
    assert found["arms"]["facts + prior"]["recall"]["2"] == 0  # the price of a weight that fits other queries
    assert choose_weight(arms["facts"], popularity, tested, 2) != WEIGHTS[0]  # what the test would have chosen
    assert found["arms"]["popularity"]["recall"] == {"2": 1.0, "5": 1.0}


def test_gains_are_those_of_the_length_in_the_headline():
    arms, popularity, tested, validating = two_worlds()

    short, long = (
        evaluate_setting(arms, popularity, tested, validating, "facts", "tuned", at=(2, 39), headline=k)
        for k in (2, 39)
    )

    assert short["prior_gain"]["mean"] == pytest.approx(-1.0)  # popularity finds all, the weight 0 nothing
    assert long["prior_gain"]["mean"] == 0  # the list is as long as the pool
    assert (short["gain"]["users"], short["gain"]["largest_user"]) == (20, pytest.approx(1 / 20))


def test_without_queries_or_without_any_to_choose_by_there_is_no_number_and_no_nan():
    arms, popularity, tested, validating = two_worlds()
    none = choose_pairs(TABLE, ["a", "b", "c"], np.zeros(3, bool), np.ones(3, bool), USERS)

    empty = evaluate_setting(arms, popularity, none, validating, "facts", "tuned", at=(2,), headline=2)
    unchosen = evaluate_setting(arms, popularity, tested, none, "facts", "tuned", at=(2,), headline=2)

    json.dumps([empty, unchosen], allow_nan=False)
    nothing = {"mean": None, "low": None, "high": None, "users": 0, "largest_user": None}
    assert empty["gain"] == empty["prior_gain"] == unchosen["prior_gain"] == nothing
    assert empty["arms"]["facts"] == {"recall": {"2": None}, "cold": None, "prior_weight": None}
    assert unchosen["arms"]["facts + prior"] == {"recall": {"2": None}, "cold": None, "prior_weight": None}
    assert unchosen["gain"]["mean"] is not None


TABLE = pl.DataFrame({"source": ["a", "a", "b"], "target": ["b", "c", "c"], "score": [0.75, 0.5, 0.25]})
USERS = pl.DataFrame(
    {
        "source": ["a", "a", "a", "b"],
        "target": ["b", "b", "c", "c"],
        "user": ["u", "v", "v", "w"],
        "weight": [0.5, 0.25, 0.5, 0.25],
    }
)


def test_a_query_is_divided_among_its_targets_and_these_among_the_users_who_went_there():
    every = np.ones(3, dtype=bool)

    parts = choose_pairs(TABLE, ["a", "b", "c"], every, every, USERS).parts

    # a counts 1/2 for each of b and c; b was u's by 0.5 of 0.75; b -> c is w's alone.
    assert parts is not None
    assert parts.of.tolist() == [0, 0, 1, 2]
    assert parts.user.tolist() == [0, 1, 1, 2]
    assert parts.weight.tolist() == pytest.approx([1 / 3, 1 / 6, 1 / 2, 1])


def test_the_mean_of_a_gain_is_the_difference_of_two_recalls():
    chance = np.random.default_rng(3)
    ends = sorted({(int(a), int(b)) for a, b in chance.integers(0, 30, (200, 2)) if a != b})
    names = [f"i{place:02d}" for place in range(30)]
    table = pl.DataFrame({"source": [names[a] for a, _ in ends], "target": [names[b] for _, b in ends]})
    users = table.with_columns(user=pl.Series(chance.integers(0, 25, len(ends))).cast(pl.String), weight=pl.lit(0.1))
    every = np.ones(30, dtype=bool)
    pairs = choose_pairs(table, names, every, every, users)
    one, other = (cosine(chance.normal(size=(30, 4))) for _ in range(2))

    of_gain = gain(hits(ranked(one, pairs), 5), hits(ranked(other, pairs), 5), pairs)

    assert of_gain["mean"] == pytest.approx(recalls(one, pairs, (5,)).mean() - recalls(other, pairs, (5,)).mean())
    assert of_gain["low"] < of_gain["mean"] < of_gain["high"]
