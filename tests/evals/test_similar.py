"""Item to item (N8): the query is absent from its pool, recall is monotone in k, and the numbers by hand."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals.similar import Pairs, by_lift, choose_pairs, choose_weight, cosine, gain, recalls, with_prior


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


def test_a_gain_of_every_query_has_an_interval_without_width():
    assert gain(np.full(20, 0.5), np.full(20, 0.25)) == {"mean": 0.25, "low": 0.25, "high": 0.25}
