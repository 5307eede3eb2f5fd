"""STAR: the formula by hand, its two halves, and vectors that no release holds."""

import numpy as np
import pytest

from feature_store.releases import NoRelease
from recommenders.kept import keep, load
from recommenders.log import requests_at
from recommenders.star import STAR, StarOptions

VECTORS = {"item_facts/dense": np.array([[2, 0], [0, 1], [3, 4], [0, 0]], dtype=np.float32)}


@pytest.fixture
def log(make_log):
    """Two of three who like item 0 like item 2 as well; u has had item 0, then item 1."""
    return make_log([("a", 0, 0, 5), ("a", 2, 1, 4), ("b", 0, 0, 5), ("b", 2, 1, 4), ("u", 0, 2, 4), ("u", 1, 3, 2)])


def scores_of(log, make_context, hour, **options):
    model = STAR.fit(make_context(log, 4, VECTORS), StarOptions(**options))
    found = model.recommend(requests_at(log, np.array(["u"]), np.array([hour(9)])), 2)
    return dict(zip(found.items[0].tolist(), found.scores[0].tolist(), strict=True)), model


def test_scores_are_the_formula(log, make_context, hour):
    found, _ = scores_of(log, make_context, hour, language=0.25, recency=0.5, history=5, liked=False)

    # newest: item 1, rated 2 of 5; before it item 0, rated 4 of 5. Item 2 is at (0.6, 0.8), and 2 of 3 likers of item 0
    # like it: 2 / sqrt(3 * 2). Item 3 has neither vector nor likers.
    together = 2 / np.sqrt(6)
    newest, older = 0.4 * (0.25 * 0.8 + 0), 0.8 * 0.5 * (0.25 * 0.6 + 0.75 * together)
    assert found == pytest.approx({2: (newest + older) / 2, 3: 0.0}, abs=1e-6)


def test_liked_events_alone_without_age_and_ratings_and_language_is_cooccurrence(log, make_context, hour):
    found, _ = scores_of(log, make_context, hour, language=0, recency=1, rated=False)

    assert found[2] == pytest.approx(2 / np.sqrt(6))


def test_only_the_newest_events_count(log, make_context, hour):
    found, _ = scores_of(log, make_context, hour, language=1, history=1, liked=False, rated=False)

    assert found[2] == pytest.approx(0.8)


def test_a_kept_one_names_the_same(log, make_context, hour, tmp_path):
    options = StarOptions(history=7)
    _, model = scores_of(log, make_context, hour, history=7)
    asked = requests_at(log, np.array(["u", "new"]), np.array([hour(9)] * 2))

    keep(tmp_path, STAR, options, model, list("abcd"), {})

    assert np.array_equal(load(tmp_path).model.recommend(asked, 3).items, model.recommend(asked, 3).items)


def test_vectors_that_no_release_holds_are_a_fault(log, make_context):
    with pytest.raises(NoRelease, match="kar_item/dense"):
        STAR.fit(make_context(log, 4, VECTORS), StarOptions(vectors="kar_item/dense"))
