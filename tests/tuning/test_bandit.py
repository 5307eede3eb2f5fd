"""UCB1 as the paper has it."""

import math
import random

import pytest

from tuning.bandit import upper_bounds


def test_bounds_are_the_mean_and_what_few_pulls_may_hide():
    # t = 8 pulls: 0.5 + sqrt(2 ln 8 / 2) = 0.5 + 1.442 = 1.942; 0.7 + sqrt(2 ln 8 / 6) = 0.7 + 0.833 = 1.533
    assert upper_bounds([0.5, 0.7], [2, 6], 1.0) == pytest.approx([1.942, 1.533], abs=1e-3)


def test_breadth_scales_what_few_pulls_may_hide_and_0_leaves_the_mean():
    assert upper_bounds([0.5, 0.7], [2, 6], 0.0) == [0.5, 0.7]


def test_an_arm_that_was_never_pulled_comes_first():
    assert upper_bounds([0.0, 0.9], [0, 5], 0.1)[0] == math.inf


def test_regret_of_the_rule_grows_slowly():
    """Two arms of means 0.8 and 0.4: the worse one is pulled at most 8 ln n / d^2 + 1 + pi^2 / 3 times, here 235 of 1,000."""
    rng, wins, pulls = random.Random(0), [0.0, 0.0], [0, 0]
    for _ in range(1000):
        means = [win / n if n else 0.0 for win, n in zip(wins, pulls, strict=True)]
        bounds = upper_bounds(means, pulls, 1.0)
        arm = bounds.index(max(bounds))
        wins[arm] += rng.random() < (0.8, 0.4)[arm]
        pulls[arm] += 1

    assert pulls[1] <= 8 * math.log(1000) / 0.4**2 + 1 + math.pi**2 / 3
    assert pulls[1] >= 10
