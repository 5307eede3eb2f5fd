"""Intervals over rows: against the normal approximation, paired, and none where rows are few."""

import numpy as np
import pytest

from evals.prompts.intervals import difference_of_rows, mean_of_rows, measured_by_row


def test_the_interval_of_a_mean_is_that_of_the_normal_approximation():
    values = np.random.default_rng(1).normal(2.0, 1.0, 400)

    figure = mean_of_rows(values.tolist())

    error = 1.96 * values.std() / 20
    assert figure.mean == pytest.approx(values.mean())
    assert (figure.low, figure.high) == pytest.approx((values.mean() - error, values.mean() + error), abs=0.01)


def test_a_difference_is_paired_and_takes_rows_that_both_have():
    base = np.random.default_rng(1).normal(0, 100, 60)
    first = [*(base + 1).tolist(), None, 5.0]
    second = [*base.tolist(), 3.0, None]

    figure = difference_of_rows(first, second)

    # Rows differ by hundreds, the versions by exactly 1 on each row: the interval has no width.
    assert (figure.mean, figure.low, figure.high, figure.rows) == pytest.approx((1, 1, 1, 60))


def test_few_rows_have_a_mean_and_no_interval():
    assert mean_of_rows([2.0] * 19).low is None
    assert mean_of_rows([2.0] * 20).low == 2
    assert "19 rows: too few" in mean_of_rows([2.0] * 19).why


def test_the_interval_of_a_share_is_wilsons_and_never_empty():
    from scipy.stats import binomtest

    for ones in (0, 3, 50):
        figure = mean_of_rows([1.0] * ones + [0.0] * (50 - ones))
        expected = binomtest(ones, 50).proportion_ci(0.95, method="wilson")
        assert (figure.low, figure.high) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_a_measure_has_every_difference_in_both_directions():
    made = measured_by_row("m", "about", "higher", {"v1": [1.0, 2.0], "v2": [3.0, None], "v3": [0.0, 0.0]})

    assert made.against["v1"]["v2"].mean == -2
    assert made.against["v2"]["v1"].mean == 2
    assert made.against["v1"]["v3"].mean == 1.5
