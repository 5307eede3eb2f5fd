"""Predictions without the own entity equal those of scikit-learn with the same folds."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.model_selection import LeaveOneGroupOut, cross_val_predict

from evals.prompts.worth.ridge import STRENGTHS, choose_strength, left_out, weighted_correlation


def problem(groups: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    return random.normal(size=(len(groups), 6)), random.normal(size=len(groups)), random.uniform(0.2, 1, len(groups))


@pytest.mark.parametrize("groups", [np.arange(20), np.arange(20) // 3, np.arange(20) % 4], ids=["one", "runs", "mixed"])
def test_predictions_without_the_own_group_are_those_of_scikit_learn(groups: np.ndarray):
    x, y, weight = problem(groups)

    found = left_out(x @ x.T, y, weight, groups, strength=2.0)

    params = {"sample_weight": weight}
    wanted = cross_val_predict(
        Ridge(2.0, fit_intercept=False), x, y, groups=groups, cv=LeaveOneGroupOut(), params=params
    )
    np.testing.assert_allclose(found, wanted, rtol=1e-9)


def test_the_penalty_with_the_smallest_left_out_error_is_chosen():
    groups = np.arange(20) // 2
    x, y, weight = problem(groups)
    y = y + x[:, 0]

    def error(strength: float) -> float:
        fitted = cross_val_predict(
            Ridge(strength, fit_intercept=False),
            x,
            y,
            groups=groups,
            cv=LeaveOneGroupOut(),
            params={"sample_weight": weight},
        )
        return float((weight * (y - fitted) ** 2).sum())

    assert choose_strength(x @ x.T, y, weight, groups) == min(STRENGTHS, key=error)


def test_weighted_correlation_is_that_of_repeated_rows():
    random = np.random.default_rng(1)
    first, second = random.normal(size=(2, 9))
    times = random.integers(0, 4, size=(9, 5))

    found = weighted_correlation(first, second, times)

    wanted = [np.corrcoef(np.repeat(first, of), np.repeat(second, of))[0, 1] for of in times.T]
    np.testing.assert_allclose(found, wanted)


def test_a_constant_prediction_correlates_with_nothing():
    assert weighted_correlation(np.zeros(4), np.arange(4.0), np.ones((4, 1))).tolist() == [0.0]
