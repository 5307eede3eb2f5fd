"""Intervals: what the weights compute is what really repeated rows give, and what an interval may say."""

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

import evals.intervals
from evals.intervals import (
    RESAMPLED,
    Draws,
    draw,
    effective_users,
    percentile_interval,
    replicate_gains,
    resampled_metrics,
    stretch,
    user_interval,
)
from evals.metrics import FUNCTIONS


def repeated(user, times):
    """Rows of a resample, every row as often as its user was drawn."""
    return np.repeat(np.arange(len(user)), times[user])


ROWS = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 6), st.integers(0, 5)), min_size=1, max_size=40)


@given(ROWS, st.integers(0, 100))
def test_weighted_metrics_equal_those_of_really_repeated_rows(rows, seed):
    label, score, user = (np.array(column) for column in zip(*rows, strict=True))
    label, probability = label.astype(np.float32), (score / 6).astype(np.float32)
    draws = draw(users=6, seeds=1, replicates=8, seed=seed)

    weighted = resampled_metrics(label, probability, user, draws.users)

    for replicate in range(8):
        chosen = repeated(user, draws.users[:, replicate])
        # A user drawn twice is one user with twice the rows: within a user, AUC does not change when rows repeat.
        naive = {name: f(label[chosen], probability[chosen], user[chosen]) for name, f in FUNCTIONS.items()}
        for name in RESAMPLED:
            assert weighted[name][replicate] == pytest.approx(naive[name], abs=1e-6, nan_ok=True), name


def test_gains_equal_a_naive_bootstrap_that_repeats_rows_and_seeds(make_scores):
    scores = make_scores(rows=80, users=12, decimals=1)
    user, users = scores.user_codes()
    draws = draw(users, scores.seeds, replicates=20, seed=3)
    arm, control = scores.probabilities["knowledge"], scores.probabilities["base"]

    for name in ("auc", "gauc", "logloss", "nce"):
        by_seed = [
            np.stack([resampled_metrics(scores.label, p, user, draws.users)[name] for p in probabilities])
            for probabilities in (arm, control)
        ]
        gains = replicate_gains(*by_seed, draws)
        for replicate in range(20):
            rows = repeated(user, draws.users[:, replicate])
            seeds = np.repeat(np.arange(scores.seeds), draws.seeds[:, replicate])
            measure = FUNCTIONS[name]
            naive = np.mean(
                [
                    measure(scores.label[rows], arm[s][rows], user[rows])
                    - measure(scores.label[rows], control[s][rows], user[rows])
                    for s in seeds
                ]
            )
            assert gains[replicate] == pytest.approx(naive, abs=1e-9)


def test_chunks_do_not_change_a_number(make_scores, monkeypatch):
    scores = make_scores()
    user, users = scores.user_codes()
    draws = draw(users, 1, replicates=50, seed=0)
    whole = resampled_metrics(scores.label, scores.probabilities["base"][0], user, draws.users)

    monkeypatch.setattr(evals.intervals, "CHUNK_CELLS", 7 * len(user))
    in_parts = resampled_metrics(scores.label, scores.probabilities["base"][0], user, draws.users)

    assert in_parts["auc"].tolist() == whole["auc"].tolist()
    for name in RESAMPLED:
        assert in_parts[name] == pytest.approx(whole[name], abs=1e-12)


def test_draws_are_with_replacement_and_depend_on_the_seed_alone():
    one, again, other = (draw(30, 5, 40, seed) for seed in (1, 1, 2))

    assert (one.users.sum(axis=0) == 30).all()
    assert (one.seeds.sum(axis=0) == 5).all()
    assert one.users.max() > 1
    assert (one.users == again.users).all()
    assert (one.users != other.users).any()
    assert (draw(30, 5, 10, 1).users == one.users[:, :10]).all()


def test_seeds_drawn_twice_count_twice():
    draws = Draws(users=np.ones((1, 1)), seeds=np.array([[2], [0], [1]], dtype=np.uint16))

    gains = replicate_gains(np.array([[0.7], [0.9], [0.4]]), np.array([[0.6], [0.1], [0.6]]), draws)

    assert gains.tolist() == pytest.approx([(2 * 0.1 + 0 * 0.8 + 1 * -0.2) / 3])


def test_the_interval_leaves_out_undefined_replicates_but_not_many_of_them():
    # 0, 1, .., 100 without the rest: 2.5% and 97.5% of 101 evenly spaced values are 2.5 and 97.5.
    values = np.arange(101.0)

    assert percentile_interval(values) == pytest.approx((2.5, 97.5))
    assert percentile_interval(np.r_[values, [np.nan] * 5]) == pytest.approx((2.5, 97.5))
    assert np.isnan(percentile_interval(np.r_[values, [np.nan] * 50])).all()
    assert np.isnan(percentile_interval(np.zeros(0))).all()


def test_unequal_users_count_as_fewer_equal_ones():
    assert effective_users(np.full(20, 7)) == pytest.approx(20)
    assert effective_users(np.array([3, 1, 0])) == pytest.approx(
        16 / 10
    )  # (3 + 1)^2 / (9 + 1); who has none counts none


def test_the_stretch_is_students_for_a_variance_that_divides_by_n():
    # t(19, 97.5%) = 2.0930, z = 1.9600, sqrt(20 / 19) = 1.0260
    assert stretch(20) == pytest.approx(2.0930 / 1.9600 * 1.0260, abs=1e-4)
    for users in (3.8, 10.9, 610):
        student = scipy.stats.t.ppf(0.975, users - 1) / scipy.stats.norm.ppf(0.975) * np.sqrt(users / (users - 1))
        assert stretch(users) == pytest.approx(student, rel=1e-9)
    assert stretch(1e9) == pytest.approx(1)


def test_both_sides_of_the_interval_are_stretched_about_the_gain():
    values = np.arange(101.0)  # percentile interval 2.5 to 97.5

    low, high = user_interval(values, 30.0, 20)

    assert low == pytest.approx(30 - 27.5 * stretch(20))
    assert high == pytest.approx(30 + 67.5 * stretch(20))
    assert np.isnan(user_interval(np.full(9, np.nan), 30.0, 20)).all()


def test_an_interval_of_a_mean_over_few_users_covers_the_truth_as_often_as_it_says():
    """4,000 samples of 20 normal users: the standard deviation of the share is sqrt(0.05 * 0.95 / 4000) = 0.0034."""
    random = np.random.default_rng(0)
    times = draw(20, 1, 300, seed=0).users / 20  # [20, 300]
    missed = plain = 0
    for values in random.normal(size=(4000, 20)):
        replicates = values @ times
        low, high = user_interval(replicates, float(values.mean()), 20)
        missed += low > 0 or high < 0
        low, high = percentile_interval(replicates)
        plain += low > 0 or high < 0

    assert missed / 4000 == pytest.approx(0.05, abs=3 * 0.0034)
    assert plain / 4000 > 0.06  # what the stretch is for
