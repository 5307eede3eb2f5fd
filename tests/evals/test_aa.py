"""Noise is no gain: equally good arms, judged as every comparison is (benchmarks/aa_test.py measures more)."""

import importlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from evals.evaluate import evaluate

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def aa() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(BENCHMARKS)
        yield importlib.import_module("aa_test")


@pytest.mark.parametrize("users", [1, 2, 5, 19])
def test_few_users_never_make_a_sentence(aa, users):
    """A bootstrap of so few users said "better" or "a loss" in 38 of 40 runs with 1 user, 18 with 2, 6 with 5."""
    for run in range(10):
        result = evaluate(aa.noise_scores(users, None, np.random.default_rng(run)), replicates=50)

        assert result["conclusion"].endswith(
            f"{users} user{'s' * (users > 1)}: too few for an interval. {WITHOUT_FACTS}"
        )
        assert all(by["auc"]["low"] is None for by in result["gains"]["knowledge"]["base"].values())


WITHOUT_FACTS = "There is no facts control, so a gain may come from the prompt's facts alone."


@pytest.mark.parametrize("largest", [None, 0.25])
def test_noise_of_twenty_users_is_called_a_gain_no_oftener_than_the_interval_says(aa, largest):
    """At most 5% of 100 runs, and what chance adds: of Binomial(100, 0.05) 97.2% lies at 9 or below."""
    assert aa.aa_false_share(20, largest, runs=100, replicates=200) <= 0.09


def test_the_simulated_arms_are_as_unequal_as_asked_for(aa):
    scores = aa.noise_scores(20, 0.25, np.random.default_rng(0))

    assert np.bincount(scores.user).max() / len(scores.user) == pytest.approx(0.25, abs=0.005)
    assert len(np.unique(scores.user)) == 20
