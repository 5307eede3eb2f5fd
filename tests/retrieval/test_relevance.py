"""Relevance: each model against its formula, the threshold against every other one."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

from retrieval.relevance import (
    CrossEncoder,
    DenseCosine,
    LexicalOverlap,
    calibrate,
    random_pairs,
    relevant_places,
)

TEXTS = ["red star", "red red moon", "blue sun", ""]


class Given:
    """A relevance model whose scores are written down: query -> place -> score."""

    def __init__(self, table: dict[str, list[float]]) -> None:
        self.table = table

    def scores(self, queries, places):
        found = [[self.table[q][p] if p >= 0 else np.nan for p in row] for q, row in zip(queries, places, strict=True)]
        return np.array(found, dtype=np.float32).reshape(places.shape)


def test_overlap_is_the_share_of_the_querys_idf_that_the_document_holds():
    # N = 4; red is in 2 documents, star in 1, comet in none; a repeated word counts once
    red, star, comet = (math.log(1 + (4 - n + 0.5) / (n + 0.5)) for n in (2, 1, 0))
    places = np.array([[0, 1, 2, -1], [3, 2, 1, 0], [0, 1, 2, 3]])

    found = LexicalOverlap(TEXTS).scores(["Red stars", "comet RED red", "…"], places)

    assert found[0].tolist() == pytest.approx([1, red / (red + star), 0, np.nan], nan_ok=True)
    assert found[1].tolist() == pytest.approx([0, 0, red / (red + comet), red / (red + comet)])
    assert found[2].tolist() == [0, 0, 0, 0]


WORDS = st.lists(st.sampled_from(["red", "blue", "star", "moon", "new"]), max_size=4)


@given(texts=st.lists(WORDS, min_size=1, max_size=6), query=WORDS)
def test_overlap_equals_a_loop_over_sets(texts, query):
    found = LexicalOverlap([" ".join(words) for words in texts]).scores([" ".join(query)], np.arange(len(texts))[None])
    holding = {word: sum(word in words for words in texts) for word in query}
    idf = {word: math.log(1 + (len(texts) - n + 0.5) / (n + 0.5)) for word, n in holding.items()}
    wanted = [sum(idf[w] for w in set(query) & set(words)) / sum(idf.values()) if query else 0 for words in texts]
    assert found[0].tolist() == pytest.approx(wanted)


def test_dense_is_the_inner_product_of_unit_vectors():
    vectors = np.array([[1, 0], [0.6, 0.8]], dtype=np.float32)
    model = DenseCosine(vectors, lambda texts: np.array([[0, 1.0]] * len(texts), dtype=np.float32))
    assert model.scores(["x"], np.array([[1, 0, -1]]))[0].tolist() == pytest.approx([0.8, 0, np.nan], nan_ok=True)
    assert model.scores([], np.zeros((0, 3), dtype=int)).shape == (0, 3)


def test_a_cross_encoder_reads_query_and_document_together():
    asked = []

    def judge(pairs):
        asked.extend(pairs)
        return np.array([len(document) for _, document in pairs], dtype=np.float32)

    found = CrossEncoder(TEXTS, judge).scores(["q", "r"], np.array([[1, -1], [0, 2]]))

    assert asked == [("q", "red red moon"), ("r", "red star"), ("r", "blue sun")]
    assert found.ravel().tolist() == pytest.approx([12, np.nan, 8, 8], nan_ok=True)


def test_the_threshold_lies_midway_where_the_classes_part_best():
    # engaged 0.9, 0.7, 0.2; random 0.6, 0.2, 0.1: above 0.65 are 2 of 3 engaged and none of 3 random
    model = Given({"q": [0.9, 0.7, 0.2, 0.6, 0.2, 0.1]})
    found = calibrate(model, (["q"] * 3, np.array([0, 1, 2])), (["q"] * 3, np.array([3, 4, 5])))

    assert found.threshold == pytest.approx(0.65)
    assert found.accuracy == pytest.approx((2 / 3 + 1) / 2)
    assert found.auc == pytest.approx((3 + 3 + 1.5) / 9)
    assert (found.engaged, found.random) == (3, 3)


SCORES = st.lists(st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]), min_size=1, max_size=8)


@given(engaged=SCORES, other=SCORES)
def test_no_other_threshold_is_better(engaged, other):
    scores = [*engaged, *other]
    label = [1] * len(engaged) + [0] * len(other)
    places = np.arange(len(scores))
    found = calibrate(
        Given({"q": scores}),
        (["q"] * len(engaged), places[: len(engaged)]),
        (["q"] * len(other), places[len(engaged) :]),
    )
    # Against sklearn, at every threshold that can differ, with the strict comparison that is used later.
    accuracy = {t: balanced_accuracy_score(label, [s > t for s in scores]) for t in (-1, 0, 0.25, 0.5, 0.75, 1)}
    assert found.accuracy == pytest.approx(max(accuracy.values()))
    assert balanced_accuracy_score(label, [s > found.threshold for s in scores]) == pytest.approx(found.accuracy)
    assert found.auc == pytest.approx(roc_auc_score(label, scores))


def test_a_threshold_needs_pairs_of_both_kinds():
    none: tuple[list[str], np.ndarray] = ([], np.zeros(0, dtype=int))
    with pytest.raises(ValueError, match="0 engaged and 1 random pairs"):
        calibrate(Given({"q": [1.0]}), none, (["q"], np.array([0])))


def test_random_pairs_are_as_many_never_engaged_and_the_same_for_the_same_seed():
    engaged = [np.array([0, 1, 2]), np.array([], dtype=int), np.arange(9)]
    queries, places = random_pairs(["a", "b", "c"], engaged, 10, seed=3)

    assert queries == ["a", "a", "a", "c"]  # of c, one document is left
    assert set(places[:3].tolist()) <= set(range(3, 10))
    assert len(set(places[:3].tolist())) == 3
    assert places[3] == 9
    again = random_pairs(["a", "b", "c"], engaged, 10, seed=3)
    assert again[1].tolist() == places.tolist()


def test_relevant_places_are_strictly_above_and_sorted():
    model = Given({"q": [0.5, 0.9, 0.1, 0.6], "r": [1.0, 0.5, 0.5, 0.5]})
    found = relevant_places(model, 0.5, ["q", "r"], [np.array([3, 1, 0, -1, 3]), np.array([2, 1])])
    assert [places.tolist() for places in found] == [[1, 3], []]
