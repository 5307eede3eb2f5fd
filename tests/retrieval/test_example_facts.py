"""What is reported of examples: worked out by hand; recall is 1 for the exact search and less for a wrong one (L8)."""

from dataclasses import replace

import numpy as np
import pytest

from retrieval.example_facts import example_facts, recall
from retrieval.examples import Encodings, ExamplePool, ExampleRule, Retrieved, Situations, encodings, retrieve

TWO = ExampleRule(count=2)


@pytest.fixture
def days():
    """A liked example on day 1, a disliked one on day 3; samples of another user on days 2, 5 and 9."""
    item, nothing = np.array([0, 1, 0, 1, 0]), np.full((5, 1), -1)
    encoded = encodings(np.float32([[1, 0], [0, 1]]), item, nothing)
    times = np.array([1, 3, 2, 5, 9]).astype("datetime64[D]").astype("datetime64[us]")
    return Situations(np.array([1, 1, 0, 0, 0]), times, encoded)


def pool_of(asked: Situations, label: list[int]) -> ExamplePool:
    """The first samples as examples."""
    return ExamplePool(asked.at(np.arange(len(label))), np.float32(label))


def test_shortage_similarity_and_age_are_those_worked_out_by_hand(days):
    pool = pool_of(days, [1, 0])

    facts = example_facts(retrieve(pool, days, TWO), pool, days, TWO)

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
    pool = pool_of(days, [1, 1, 0])  # both examples liked, and a third, disliked one
    right = retrieve(pool, days, TWO)

    chosen = right.chosen.copy()
    assert chosen.tolist() == [[-1, -1], [0, 2], [-1, 0], [2, 1], [0, 2]]
    chosen[3] = [2, 0]  # day 5 is about item 1, as the second example is, and is shown the first instead
    chosen[4] = [-1, 2]  # and day 9 is not shown the one it should

    assert recall(right, pool, days, TWO) == 1
    assert recall(Retrieved(chosen, right.similarity), pool, days, TWO) == 5 / 7


def test_of_equally_near_examples_any_is_right(days):
    same = replace(days, encoded=replace(days.encoded, item=np.zeros(5, dtype=np.int64)))
    chosen = np.array([[-1, -1], [-1, 0], [-1, 0], [-1, 1], [-1, 1]])  # retrieval takes the first, 0

    assert recall(Retrieved(chosen, np.zeros((5, 2))), pool_of(same, [1, 1]), same, TWO) == 1


def test_nothing_shown_has_neither_likeness_nor_age_nor_recall(days):
    none, rule = pool_of(days, []), ExampleRule()

    facts = example_facts(retrieve(none, days, rule), none, days, rule)

    assert facts == {
        "examples": 0,
        "k": 4,
        "shortage_share": 1,
        "similarity_mean": None,
        "days_back_median": None,
        "recall": None,
    }


@pytest.mark.parametrize("strict", [True, False])
def test_recall_against_a_brute_force_of_our_own_is_at_least_98_percent_and_of_chance_far_less(strict):
    random = np.random.default_rng(5)
    size, width = 3_000, 24
    centres = random.normal(size=(40, width))  # items come in kinds, as films do
    items = (centres[random.integers(40, size=500)] + 0.7 * random.normal(size=(500, width))).astype(np.float32)
    past, target = random.integers(500, size=(size, 12)), random.integers(500, size=size)
    user, label = random.integers(60, size=size), random.integers(2, size=size).astype(np.float32)
    time = random.integers(10_000, size=size).astype("datetime64[s]").astype("datetime64[us]")
    asked = Situations(user, time, encodings(items, target, past))
    assert isinstance(asked.encoded, Encodings)
    pool = ExamplePool(asked, label)
    near, chance = ExampleRule(4, strict), ExampleRule(4, strict, by_chance=True)
    found = retrieve(pool, asked, near)
    # The reference computes the published similarity from its definition, in float64, over all examples.
    unit = items.astype(np.float64) / np.linalg.norm(items.astype(np.float64), axis=1, keepdims=True)
    means = unit[past].mean(axis=1)
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    hits = wanted = 0
    for place in range(0, size, 60):
        similarity = 0.5 * means @ means[place] + 0.5 * unit[target] @ unit[target[place]]
        fits = (time < time[place]) if strict else ((user != user[place]) | (time < time[place]))
        best = {
            int(one)
            for side in (0, 1)
            for one in sorted(np.flatnonzero(fits & (label == side)), key=lambda one: -similarity[one])[:2]
        }
        hits += len(best & set(found.chosen[place].tolist()))
        wanted += len(best)

    assert wanted > 150
    assert hits / wanted >= 0.98
    assert recall(found, pool, asked, near) >= 0.98
    assert recall(retrieve(pool, asked, chance), pool, asked, chance) < 0.5
