"""What every recommender must hold, and the training-free controls by hand."""

import json

import numpy as np
import pytest

from base.faults import WrongUse
from base.plugins import PluginFault, choose, walk
from recommenders.kept import FACTS, keep, load
from recommenders.log import requests_at
from recommenders.protocol import RECOMMENDERS, Ranked
from recommenders.ranking import best, check

CONTROLS = ("popularity", "cooccurrence", "random")


@pytest.fixture
def shop(make_log):
    """Five items: 0 and 1 go together, 2 is liked most, 3 is disliked, nobody had 4."""
    return make_log(
        [
            *((user, item, hour, 5) for user in ("a", "b") for hour, item in enumerate((0, 1))),
            *((user, 2, 2, 5) for user in ("c", "d", "e")),
            ("f", 3, 3, 1),
            ("f", 0, 4, 5),
        ]
    )


def fitted(name, context):
    (recommender,) = choose(RECOMMENDERS, [name])
    return recommender, recommender.options(), recommender.fit(context, recommender.options())


@pytest.mark.parametrize("name", CONTROLS)
def test_lists_hold_no_item_twice_and_none_that_was_had_and_a_kept_model_names_the_same(
    name, shop, make_context, hour, tmp_path
):
    asked = requests_at(shop, np.array(["a", "f", "new"]), np.array([hour(9)] * 3))
    recommender, options, model = fitted(name, make_context(shop, 5))

    found = model.recommend(asked, 6)
    keep(tmp_path, recommender, options, model, [f"i{n}" for n in range(5)], {"seen_until": "2024-01-01T04:00:00"})
    kept = load(tmp_path)

    check(found, asked, 6, 5, name)
    assert (found.items >= 0).sum(axis=1).tolist() == [3, 3, 5]
    again = kept.model.recommend(asked, 6)
    assert np.array_equal(again.items, found.items)
    assert np.array_equal(again.scores, found.scores)
    assert (kept.name, kept.items[4], kept.facts["seen_until"]) == (name, "i4", "2024-01-01T04:00:00")
    assert json.loads((tmp_path / FACTS).read_text())["options"] == options.model_dump()


@pytest.mark.parametrize("name", CONTROLS)
def test_what_is_named_for_a_moment_does_not_hang_on_who_else_asks_nor_on_later_events(
    name, shop, make_log, make_context, hour
):
    _, _, model = fitted(name, make_context(shop, 5))
    later = make_log([("f", 3, 3, 1), ("f", 0, 4, 5), ("f", 2, 5, 5)])

    together = model.recommend(requests_at(shop, np.array(["a", "f"]), np.array([hour(9), hour(5)])), 3)
    alone = model.recommend(requests_at(later, np.array(["f"]), np.array([hour(5)])), 3)

    assert alone.items[0].tolist() == together.items[1].tolist()


def test_popularity_names_what_is_liked_most_first(shop, make_context, hour):
    _, _, model = fitted("popularity", make_context(shop, 5))

    found = model.recommend(requests_at(shop, np.array(["new"]), np.array([hour(9)])), 5)

    assert found.items[0].tolist() == [0, 2, 1, 3, 4]  # liked by 3, 3, 2, 0 and 0; of equals the first
    assert found.scores[0].tolist() == [3, 3, 2, 0, 0]


def test_cooccurrence_sums_cosines_of_who_liked_what(shop, make_context, hour):
    _, _, model = fitted("cooccurrence", make_context(shop, 5))

    found = model.recommend(requests_at(shop, np.array(["f"]), np.array([hour(9)])), 3)

    # f liked item 0 (a, b, f); item 1 (a, b) has 2 of its likers: 2 / sqrt(3 * 2). Of the others 2 is more popular.
    assert found.items[0].tolist() == [1, 2, 4]
    assert found.scores[0] == pytest.approx([2 / np.sqrt(6), 0, 0], abs=1e-6)


def test_random_draws_evenly_and_the_same_again(shop, make_context, hour):
    _, _, model = fitted("random", make_context(shop, 50))
    asked = requests_at(shop, np.array([f"x{n}" for n in range(400)]), np.array([hour(1)] * 400))

    first = model.recommend(asked, 1).items.ravel()

    assert len(np.unique(first)) == 50
    assert np.array_equal(model.recommend(asked, 1).items.ravel(), first)


def test_ties_are_broken_by_the_catalogue_and_short_catalogues_end_early(make_log, hour):
    asked = requests_at(make_log([("u", 1, 0, 5)]), np.array(["u"]), np.array([hour(1)]))

    found = best(np.array([[1.0, 9.0, 1.0, -np.inf, 2.0]]), asked, 4)

    assert found.items.tolist() == [[4, 0, 2, -1]]
    assert found.scores.tolist() == [[2, 1, 1, -np.inf]]


@pytest.mark.parametrize(
    ("items", "why"),
    [([[1]], "had before"), ([[0, 0]], "twice"), ([[0, 7]], "outside"), ([[0, 2, 3]], "shape")],
)
def test_a_recommender_that_breaks_the_protocol_is_reported(items, why, make_log, hour):
    asked = requests_at(make_log([("u", 1, 0, 5)]), np.array(["u"]), np.array([hour(1)]))
    places = np.array(items)
    length = 2 if why == "shape" else places.shape[1]

    with pytest.raises(PluginFault, match=f"mine: .*{why}"):
        check(Ranked(places, places.astype(np.float32)), asked, length, 5, "mine")


def test_a_folder_without_a_model_says_how_to_make_one(tmp_path):
    with pytest.raises(WrongUse, match=r"no fitted recommender\n.*knowflow eval recommend"):
        load(tmp_path)


def test_every_recommender_says_what_its_siblings_say():
    for plugin in walk(RECOMMENDERS):
        assert f"Example:   knowflow eval recommend --model {plugin.name}" in plugin.doc
        assert all(part in plugin.doc for part in ("Formula:", "Consumes:", "Relations:")), plugin.name
