"""What is reported of examples: worked out by hand; recall is 1 for the exact search and less for a wrong one (L8)."""

from dataclasses import replace

import numpy as np
import pytest

from ctr.retrieval import Choice, Pool, Retrieved, encodings, find_pool, retrieve
from ctr.retrieval_facts import recall, retrieval_facts
from feature_store.knowledge import Knowledge

DAY = 86_400


@pytest.fixture
def days(world):
    """A liked example on day 1, a disliked one on day 3; samples of another user on days 2, 5 and 9."""
    samples = world.bare(
        [1, 1, 0, 0, 0],
        [0, 1, 0, 1, 0],
        [1 * DAY, 3 * DAY, 2 * DAY, 5 * DAY, 9 * DAY],
        label=np.float32([1, 0, 1, 1, 1]),
    )
    table = np.float32([[1, 0], [0, 1]])
    items = Knowledge("f", "e", "item", np.array(["0", "1"]), np.zeros(2, dtype="datetime64[us]"), table)
    return samples, encodings(items, samples), Pool(np.array([0, 1]), np.array([0, 1]))


def test_shortage_similarity_and_age_are_those_worked_out_by_hand(days):
    samples, encoded, pool = days
    choice = Choice(count=2)

    facts = retrieval_facts(retrieve(pool, encoded, samples, choice), pool, encoded, samples, choice)

    # Day 1 sees none; days 3 and 2 see day 1; days 5 and 9 see both: three of five lack one.
    # Likeness is 1/2 for the same item, 0 for another: day 3 0; day 2 1/2; day 5 0, 1/2; day 9 1/2, 0.
    # Days back: 3 - 1, 2 - 1, 5 - 1, 5 - 3, 9 - 1, 9 - 3: 1, 2, 2, 4, 6, 8.
    assert facts == {
        "examples": 2,
        "k": 2,
        "shortage_share": 3 / 5,
        "similarity_mean": pytest.approx(1.5 / 6),
        "days_back_median": 3,
        "recall": 1,
    }


def test_recall_counts_the_nearest_that_are_shown(days):
    samples, encoded, _ = days
    samples = replace(samples, label=np.float32([1, 1, 0, 1, 1]))  # both examples liked, and a third, disliked one
    pool, choice = Pool(np.array([0, 1, 2]), np.arange(3)), Choice(count=2)
    right = retrieve(pool, encoded, samples, choice)

    chosen = right.chosen.copy()
    assert chosen.tolist() == [[-1, -1], [0, 2], [-1, 0], [2, 1], [0, 2]]
    chosen[3] = [2, 0]  # day 5 is about item 1, as the second example is, and is shown the first instead
    chosen[4] = [-1, 2]  # and day 9 is not shown the one it should

    assert recall(right, pool, encoded, samples, choice) == 1
    assert recall(Retrieved(chosen, right.similarity), pool, encoded, samples, choice) == 5 / 7


def test_of_equally_near_examples_any_is_right(days):
    samples, encoded, _ = days
    samples = replace(samples, item=np.zeros(5, dtype=np.int64), label=np.float32([1, 1, 0, 1, 1]))
    same = replace(encoded, item=np.zeros(5, dtype=np.int64))
    pool, choice = Pool(np.array([0, 1]), np.arange(2)), Choice(count=2)
    chosen = np.array([[-1, -1], [-1, 0], [-1, 0], [-1, 1], [-1, 1]])  # retrieval takes the first, 0

    assert recall(Retrieved(chosen, np.zeros((5, 2))), pool, same, samples, choice) == 1


def test_nothing_shown_has_neither_likeness_nor_age_nor_recall(days):
    samples, encoded, _ = days
    none, choice = Pool(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)), Choice()

    facts = retrieval_facts(retrieve(none, encoded, samples, choice), none, encoded, samples, choice)

    assert facts == {
        "examples": 0,
        "k": 4,
        "shortage_share": 1,
        "similarity_mean": None,
        "days_back_median": None,
        "recall": None,
    }


@pytest.mark.parametrize("strict", [True, False])
def test_recall_of_the_bulk_search_is_at_least_98_percent_and_of_chance_far_less(world, samples, strict):
    pool, encoded = find_pool(world.examples(samples, every=3), samples), encodings(world.knowledge(samples), samples)
    near, chance = Choice(4, strict), Choice(4, strict, by_chance=True)

    assert recall(retrieve(pool, encoded, samples, near), pool, encoded, samples, near) >= 0.98
    assert recall(retrieve(pool, encoded, samples, chance), pool, encoded, samples, chance) < 0.5
