"""Measures of lists: by hand, against scikit-learn, and a measure of a team's own without an edit of ours."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import ndcg_score

from base.plugins import choose, find
from evals.lists import MISSED, Lists, ranks_by_score, ranks_in_lists
from evals.measures.protocol import MEASURES

POPULARITY = np.array([7.0, 3.0, 3.0, 0.0])
WORTH = find(MEASURES)


def lists_of(ranking, wanted, popularity=POPULARITY) -> Lists:
    ranking = np.array(ranking)
    row = np.array([query for query, _ in wanted])
    return Lists(ranking, row, ranks_in_lists(ranking, row, np.array([place for _, place in wanted])), popularity)


def worth(name: str, lists: Lists, k: int) -> list[float]:
    return np.asarray(WORTH[name].value(lists, k)).tolist()


def test_what_is_found_is_counted_among_the_first_k_alone():
    # query 0 wants items 1 and 3, at ranks 2 and 3 of its list (from 1); query 1 wants item 2, which it does not get
    lists = lists_of([[0, 1, 3], [3, 1, -1]], [(0, 1), (0, 3), (1, 2)])

    assert worth("recall", lists, 1) == [0, 0]
    assert worth("recall", lists, 2) == [0.5, 0]
    assert worth("recall", lists, 3) == [1, 0]
    assert worth("hit", lists, 2) == [1, 0]
    assert worth("mrr", lists, 1) == [0, 0]
    assert worth("mrr", lists, 3) == [1 / 2, 0]
    best = 1 / np.log2(2) + 1 / np.log2(3)
    assert worth("ndcg", lists, 3) == pytest.approx([(1 / np.log2(3) + 1 / np.log2(4)) / best, 0])


def test_what_is_named_is_measured_whether_it_was_wanted_or_not():
    lists = lists_of([[0, 1], [0, -1], [-1, -1]], [(0, 3), (1, 3), (2, 3)])

    assert worth("coverage", lists, 2) == 2 / 4
    # item 0: three of four are less popular and it ties with itself; items 1 and 2 tie above item 3
    assert worth("popularity", lists, 2) == pytest.approx([(3.5 / 4 + 2 / 4) / 2, 3.5 / 4, np.nan], nan_ok=True)
    # shares with one added to each count: 8, 4, 4 and 1 of 17
    assert worth("novelty", lists, 2) == pytest.approx(
        [-(np.log2(8 / 17) + np.log2(4 / 17)) / 2, -np.log2(8 / 17), np.nan], nan_ok=True
    )


@given(st.integers(0, 10_000), st.integers(1, 8))
def test_ndcg_is_that_of_scikit_learn_and_recall_that_of_sets(seed, k):
    chance = np.random.default_rng(seed)
    queries, items = 5, 8
    relevant = chance.random((queries, items)) < 0.3
    relevant[:, 0] |= ~relevant.any(axis=1)
    ranking = np.stack([chance.permutation(items) for _ in range(queries)])
    lists = lists_of(ranking, np.argwhere(relevant).tolist(), np.ones(items))
    scores = np.empty((queries, items))
    np.put_along_axis(scores, ranking, np.arange(items, 0, -1.0)[None].repeat(queries, axis=0), axis=1)

    expected = [ndcg_score([relevant[q]], [scores[q]], k=k) for q in range(queries)]

    assert worth("ndcg", lists, k) == pytest.approx(expected)
    wanted = [set(np.flatnonzero(row)) for row in relevant]
    assert worth("recall", lists, k) == pytest.approx(
        [len(want & set(named[:k])) / len(want) for want, named in zip(wanted, ranking.tolist(), strict=True)]
    )


@given(st.integers(0, 10_000))
def test_ranks_by_score_are_those_in_the_sorted_lists(seed):
    chance = np.random.default_rng(seed)
    scores = chance.integers(0, 4, (6, 9)).astype(float)
    row, place = np.repeat(np.arange(6), 9), np.tile(np.arange(9), 6)

    ranking = np.argsort(-scores, axis=1, kind="stable")

    assert ranks_by_score(scores, row, place).tolist() == ranks_in_lists(ranking, row, place).tolist()


def test_an_item_that_no_list_names_is_missed_at_every_length():
    assert ranks_in_lists(np.array([[2, -1]]), np.array([0]), np.array([0])).tolist() == [MISSED]
    assert ranks_in_lists(np.zeros((1, 0), int), np.array([0]), np.array([0])).tolist() == [MISSED]


def test_a_measure_of_a_team_is_found_in_its_folder(tmp_path):
    (tmp_path / "first.py").write_text(
        '"""Whether the first item was wanted."""\n'
        "from evals.measures.protocol import Measure\n"
        'FIRST = Measure("first", "share of lists whose first item was wanted",'
        " lambda lists, k: lists.by_query(lists.rank == 0))\n"
    )

    (measure,) = choose(MEASURES, ["first"], (tmp_path,))

    assert np.asarray(measure.value(lists_of([[3], [1]], [(0, 3), (1, 2)]), 5)).tolist() == [1, 0]
