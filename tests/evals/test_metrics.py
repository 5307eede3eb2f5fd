"""Metrics: equal to scikit-learn, to a naive loop, or to a number worked out by hand."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import log_loss, roc_auc_score

from base.faults import CheckFailed
from evals.evaluate import Scores
from evals.metrics import (
    FUNCTIONS,
    METRICS,
    auc,
    ece,
    ece_floor,
    entropy,
    equal_count_bins,
    gauc,
    logloss,
    nce,
    reliability_curve,
    user_aucs,
)

ROWS = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 8), st.integers(0, 4)), min_size=1, max_size=60)


def arrays(rows):
    label, score, user = (np.array(column) for column in zip(*rows, strict=True))
    return label.astype(np.float32), (score / 8).astype(np.float32), user


def naive_gauc(label, probability, user):
    total, weight = 0.0, 0
    for one in set(user.tolist()):
        mine = user == one
        if len(set(label[mine].tolist())) == 2:
            total += mine.sum() * roc_auc_score(label[mine], probability[mine])
            weight += mine.sum()
    return total / weight if weight else math.nan


@given(ROWS)
def test_auc_and_logloss_equal_scikit_learn_with_ties(rows):
    label, probability, _ = arrays(rows)

    if len(set(label.tolist())) == 2:
        assert auc(label, probability) == pytest.approx(roc_auc_score(label, probability), abs=1e-12)
    else:
        assert math.isnan(auc(label, probability))
    clipped = np.clip(probability.astype(np.float64), 1e-7, 1 - 1e-7)
    assert logloss(label, probability) == pytest.approx(log_loss(label, clipped, labels=[0, 1]), rel=1e-12)


@given(ROWS)
def test_gauc_equals_a_loop_over_users_that_leaves_out_users_with_one_class(rows):
    label, probability, user = arrays(rows)

    assert gauc(label, probability, user) == pytest.approx(naive_gauc(label, probability, user), abs=1e-12, nan_ok=True)


def test_gauc_weighs_users_with_their_rows():
    # user 0: one of one pair right -> 1 over 2 rows; user 1: positive 0.5 ties 0.5 and beats 0.1 -> 1.5 of 2 over 3 rows;
    # user 2 has one class. (2 * 1 + 3 * 0.75) / 5 = 0.85
    label = np.array([1, 0, 1, 0, 0, 1])
    probability = np.array([0.9, 0.2, 0.5, 0.5, 0.1, 0.3])
    user = np.array([0, 0, 1, 1, 1, 2])

    assert user_aucs(label, probability, user, 4).tolist() == pytest.approx([1, 0.75, math.nan, math.nan], nan_ok=True)
    assert gauc(label, probability, user) == pytest.approx(0.85)


def test_a_certain_mistake_costs_a_finite_loss():
    assert logloss(np.array([1.0]), np.array([0.0])) == pytest.approx(-math.log(1e-7))


def test_nce_is_one_for_the_mean_rate_and_undefined_with_one_class():
    label = np.array([1, 0, 0, 0])

    assert nce(label, np.full(4, 0.25)) == pytest.approx(1.0)
    assert float(entropy(np.array(0.25))) == pytest.approx(0.5623351446)  # -(1/4) ln(1/4) - (3/4) ln(3/4)
    assert entropy(np.array([0.0, 1.0])).tolist() == [0, 0]
    assert math.isnan(nce(np.ones(3), np.full(3, 0.5)))


def test_ece_is_the_weighted_gap_worked_out_by_hand():
    # Two bins of two rows: predicted 0.1 and 0.3 -> mean 0.2, observed 0.5; predicted 0.6 and 0.8 -> 0.7, observed 1.
    label = np.array([1, 0, 1, 1])
    probability = np.array([0.8, 0.1, 0.3, 0.6])

    assert ece(label, probability, bins=2) == pytest.approx((2 * 0.3 + 2 * 0.3) / 4)
    assert [tuple(point) for point in reliability_curve(label, probability, bins=2)] == [
        (pytest.approx(0.2), 0.5, 2),
        (pytest.approx(0.7), 1.0, 2),
    ]


def test_the_floor_of_the_ece_worked_out_by_hand():
    # Two bins of two rows: variances 0.1 * 0.9 + 0.3 * 0.7 = 0.30 and 0.6 * 0.4 + 0.8 * 0.2 = 0.40; sqrt(2 / pi) = 0.79788
    probability = np.array([0.8, 0.1, 0.3, 0.6])

    assert ece_floor(probability, bins=2) == pytest.approx(0.79788 * (math.sqrt(0.3) + math.sqrt(0.4)) / 4, abs=1e-5)
    assert ece_floor(np.array([0.0, 1.0])) == 0  # a certain prediction leaves nothing to chance
    assert math.isnan(ece_floor(np.zeros(0)))


def simulated_ece(predicted, true, runs=300):
    """Mean ECE over labels drawn with the true rates, by a loop over bins of its own."""
    random = np.random.default_rng(0)
    bins = np.array_split(np.argsort(predicted), 15)
    found = []
    for _ in range(runs):
        label = random.random(len(true)) < true
        found.append(sum(abs(label[one].sum() - predicted[one].sum()) for one in bins) / len(true))
    return np.mean(found)


def test_a_calibrated_model_shows_the_floor_and_a_wrong_one_more():
    """4,500 rows in 15 bins, 300 draws of the labels: the mean ECE is known to about 0.0001."""
    predicted = 1 / (1 + np.exp(-np.random.default_rng(1).normal(size=4500)))
    floor = ece_floor(predicted)

    assert 0.02 < floor < 0.022  # a perfect model shows this much
    assert simulated_ece(predicted, predicted) == pytest.approx(floor, abs=4e-4)
    truth = 0.8 * predicted  # predicted rates are a quarter too high: the gap is 0.2 times the mean predicted rate
    gap = 0.2 * predicted.mean()
    assert simulated_ece(predicted, truth) == pytest.approx(gap, abs=0.002)
    assert gap > 4 * floor
    assert ece((np.random.default_rng(2).random(4500) < truth).astype(float), predicted) > 4 * floor


def test_why_the_ece_has_no_interval():
    """A percentile bootstrap of the calibration error of a calibrated model never holds the true value, which is 0."""
    random = np.random.default_rng(3)
    predicted = random.random(1500)
    held = 0
    for _ in range(20):
        label = (random.random(1500) < predicted).astype(float)
        drawn = random.integers(1500, size=(100, 1500))
        low = np.percentile([ece(label[rows], predicted[rows]) for rows in drawn], 2.5)
        held += low <= 0

    assert held == 0
    assert METRICS["ece"].no_interval is not None


def test_bins_hold_equal_counts_and_ties_stay_together():
    assert equal_count_bins(np.array([0.4, 0.1, 0.2, 0.3, 0.5, 0.6]), 3).tolist() == [1, 0, 0, 1, 2, 2]
    # Three rows share 0.2, one row is smaller: 1 * 2 / 4 rounds down to bin 0 for all three.
    assert equal_count_bins(np.array([0.1, 0.2, 0.2, 0.2]), 2).tolist() == [0, 0, 0, 0]


@given(ROWS, st.integers(1, 20))
def test_the_curve_holds_every_row_once_and_its_gaps_are_the_ece(rows, bins):
    label, probability, _ = arrays(rows)

    curve = reliability_curve(label, probability, bins)

    assert sum(point.rows for point in curve) == len(label)
    assert [point.predicted for point in curve] == sorted(point.predicted for point in curve)
    gaps = sum(point.rows * abs(point.observed - point.predicted) for point in curve) / len(label)
    assert ece(label, probability, bins) == pytest.approx(gaps, abs=1e-7)


@given(ROWS, st.randoms(use_true_random=False))
def test_no_metric_depends_on_the_order_of_the_rows(rows, random):
    shuffled = list(rows)
    random.shuffle(shuffled)

    for function in FUNCTIONS.values():
        assert function(*arrays(shuffled)) == pytest.approx(function(*arrays(rows)), abs=1e-7, nan_ok=True)


@pytest.mark.parametrize("name", METRICS)
def test_every_metric_is_undefined_without_rows(name):
    nothing = np.zeros(0, dtype=np.float32)

    assert math.isnan(FUNCTIONS[name](nothing, nothing, np.zeros(0, dtype=np.int64)))


def test_every_metric_is_described():
    assert list(METRICS) == list(FUNCTIONS)
    assert all(metric.unit and metric.meaning.endswith(".") for metric in METRICS.values())


def test_scores_name_all_that_is_wrong_with_them_at_once():
    with pytest.raises(CheckFailed) as raised:
        Scores(
            label=np.array([0, 2], dtype=np.float32),
            user=np.array([1], dtype=np.int64),
            segments={"all": np.array([1, 1])},
            probabilities={
                "base": np.array([[0.5, np.nan]]),
                "facts": np.array([[0.5]]),
                "knowledge": np.full((2, 2), 0.5),
            },
        )

    text = str(raised.value)
    for part in ("label", "user", "segment all", "did training diverge", "arm facts", "same seeds"):
        assert part in text
    assert len(text.splitlines()) == 1 + 6


def test_scores_of_no_arm_are_refused():
    with pytest.raises(CheckFailed, match="there is no arm"):
        Scores(np.zeros(1), np.zeros(1, dtype=np.int64), {}, {})
