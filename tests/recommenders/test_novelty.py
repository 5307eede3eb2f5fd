"""Novelty: the two clusters of a user by hand, what is served for them, and the controls of its table."""

import numpy as np
import polars as pl
import pytest

from recommenders.kept import keep, load
from recommenders.log import requests_at
from recommenders.novelty import NOVELTY, NoveltyOptions, liked_pairs, table_of
from recommenders.protocol import Context

GENRES = [["A"], ["A"], ["B"], ["B"], ["C"], ["C"], ["C"], ["D"], ["E"]]
CLUSTERS = ["A", "B", "C", "D"]
TEXTS = {"interest_clusters": {one: "about " + one for one in CLUSTERS}, "google_novelty": {"A + B": "C", "A + A": "D"}}


@pytest.fixture
def log(make_log):
    """u likes A twice, then B; v likes A alone, and hates C; w has liked nothing. Item 5 is the most popular of C."""
    others = [("p", 5, 0, 5), ("q", 5, 1, 5), ("p", 4, 1, 5), ("p", 8, 2, 5), ("q", 8, 2, 4), ("r", 8, 2, 4)]
    own = [("u", 0, 3, 5), ("u", 1, 4, 5), ("u", 2, 5, 4), ("v", 0, 3, 5), ("v", 4, 4, 1), ("w", 3, 3, 1)]
    return make_log([*others, *own])


@pytest.fixture
def fitted(log):
    def fit(seed=0, **options):
        items = pl.DataFrame({"item": [f"i{place}" for place in range(len(GENRES))], "genres": GENRES})
        context = Context(log, items, {}.__getitem__, {}.__getitem__, seed, texts=TEXTS.__getitem__)
        return NOVELTY.fit(context, NoveltyOptions(**options))

    return fit


def lists(model, log, hour, *users, k=3):
    asked = requests_at(log, np.array(users), np.array([hour(9)] * len(users)))
    return model.recommend(asked, k).items.tolist()


def test_the_next_cluster_is_served_by_popularity_and_nothing_else(fitted, log, hour):
    assert lists(fitted(), log, hour, "u", "v") == [[5, 4, 6], [7, -1, -1]]


def test_who_has_liked_no_cluster_or_whose_pair_has_no_answer_gets_what_is_popular(fitted, log, hour):
    # p likes C alone, and there is no answer for the pair of it with itself
    assert lists(fitted(), log, hour, "w", "p", k=2) == [[8, 0], [0, 1]]


def test_events_of_the_same_moment_are_not_known(fitted, log, hour):
    asked = requests_at(log, np.array(["u"]), np.array([hour(5)]))  # B is liked at hour 5 only

    assert fitted().recommend(asked, 2).items.tolist() == [[7, -1]]


def test_the_two_clusters_are_those_liked_most_and_the_newer_of_equals(make_log, hour):
    log = make_log([("u", item, place, 5) for place, item in enumerate([4, 0, 7, 1, 2])])  # C A D A B
    cluster = np.array([0, 0, 1, 1, 2, 2, 2, 3, -1])
    asked = requests_at(log, np.array(["u"]), np.array([hour(9)]))

    assert liked_pairs(asked, cluster, 4, 50).tolist() == [[0, 1]]
    assert liked_pairs(asked, cluster, 4, 1).tolist() == [[1, 1]]
    assert liked_pairs(asked, cluster, 4, 3).tolist() == [[1, 0]]  # one each, the newest first


def test_tables_of_the_controls_have_the_shape_of_the_answers():
    random = table_of("random", CLUSTERS, {}, seed=1)

    assert (random.sum(axis=2) == 1).all()
    assert (random == random.transpose(1, 0, 2)).all()
    own = np.arange(4)
    assert not random[own, :, own].any()
    assert not random[:, own, own].any()
    assert table_of("liked", CLUSTERS, {}, 0)[1, 3].tolist() == [False, True, False, True]
    answers = table_of("answers", CLUSTERS, {"A + B": "C", "B + C": "gone"}, 0)
    assert answers[0, 1].tolist() == answers[1, 0].tolist() == [False, False, True, False]
    assert answers.sum() == 2


def test_a_kept_one_names_the_same(fitted, log, hour, tmp_path):
    model = fitted()

    keep(tmp_path, NOVELTY, NoveltyOptions(), model, [f"i{place}" for place in range(len(GENRES))], {})

    assert lists(load(tmp_path).model, log, hour, "u", "v", "w") == lists(model, log, hour, "u", "v", "w")
