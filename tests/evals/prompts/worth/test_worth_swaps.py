"""Chance by swaps: worked out by hand on four rows, and even where nothing differs."""

import numpy as np

from evals.prompts.worth.swaps import ENOUGH, MOST, chances

VALUES = np.array([5.0, 1.0, 2.0, 0.0, 1.0, 0.0, 0.0, 2.0])
"""What each vector of the pool is worth: four rows of one version, then of the other."""


def mean(chosen: np.ndarray) -> np.ndarray:
    return VALUES[chosen].mean(keepdims=True)


def test_the_chance_on_four_rows_is_the_one_counted_by_hand():
    # Differences by row are 4, 1, 2, -2: 5 in sum. Signs can be swapped in 16 ways. A sum of at least 5 in size needs
    # +4 with (1, 2, 2) adding to at least 1: of +-1 +-2 +-2 these are 5, 3, 1, 1 (one of both twos is negative), and
    # -1 + 4 = 3; -1 + 0 = -1 twice and so on: {+1+2+2, +1+2-2, +1-2+2, -1+2+2}: 4 of 8. With -4 as many: 8 of 16.
    p = chances(mean, np.arange(4), np.arange(4, 8), np.arange(4), seed=0)

    assert p.tolist() == [0.5]


def test_rows_of_one_entity_are_swapped_together():
    # The outer two rows are one entity, the inner two another: differences 4 - 2 and 1 + 2. Of +-2 +-3, two of four
    # are 5 in size.
    p = chances(mean, np.arange(4), np.arange(4, 8), np.array([0, 1, 1, 0]), seed=0)

    assert p.tolist() == [0.5]


def test_a_difference_in_every_row_is_never_chance():
    rows, worth = 30, np.arange(60.0) >= 30

    p = chances(
        lambda chosen: worth[chosen].mean(keepdims=True), np.arange(30, 60), np.arange(rows), np.arange(rows), 0
    )

    assert p.tolist() == [1 / (MOST + 1)]


def test_equal_versions_differ_by_chance_alone_and_few_swaps_are_drawn():
    calls = []

    def score(chosen: np.ndarray) -> np.ndarray:
        calls.append(chosen)
        return np.zeros(1)

    p = chances(score, np.arange(30), np.arange(30, 60), np.arange(30), 0)

    assert p.tolist() == [1.0]
    assert len(calls) == 2 + 2 * ENOUGH


def test_chances_are_even_when_nothing_differs():
    rows, runs, random = 12, 300, np.random.default_rng(2)
    found = []
    for run in range(runs):
        noise = random.normal(size=2 * rows)
        p = chances(
            lambda c, of=noise: of[c].mean(keepdims=True),
            np.arange(rows),
            np.arange(rows, 2 * rows),
            np.arange(rows),
            run,
        )
        found.append(p[0])

    below = [np.mean(np.array(found) <= level) for level in (0.05, 0.5)]

    assert below[0] < 0.05 + 3 * np.sqrt(0.05 * 0.95 / runs)
    assert abs(below[1] - 0.5) < 3 * np.sqrt(0.25 / runs)


def test_an_undefined_score_has_no_chance():
    p = chances(lambda chosen: np.array([np.nan]), np.arange(9), np.arange(9, 18), np.arange(9), 0)

    assert np.isnan(p).all()
