"""Intervals: what the weights compute is what really repeated rows give, and what an interval may say."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import evals.resampled
from evals.intervals import Draws, draw, percentile_interval, replicate_gains
from evals.metrics import BINS, FUNCTIONS, METRICS, equal_count_bins
from evals.resampled import resampled_metrics


def repeated(user, times):
    """Rows of a resample, every row as often as its user was drawn."""
    return np.repeat(np.arange(len(user)), times[user])


def naive_ece(label, probability, rows):
    """Calibration error of repeated rows in the bins of the rows as they are."""
    which = equal_count_bins(probability)[rows]
    gaps = [abs((label[rows] - probability[rows].astype(float))[which == i].sum()) for i in range(BINS)]
    return sum(gaps) / len(rows) if len(rows) else np.nan


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
        naive["ece"] = naive_ece(label, probability, chosen)
        for name, value in naive.items():
            assert weighted[name][replicate] == pytest.approx(value, abs=1e-6, nan_ok=True), name


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

    monkeypatch.setattr(evals.resampled, "CHUNK_CELLS", 7 * len(user))
    in_parts = resampled_metrics(scores.label, scores.probabilities["base"][0], user, draws.users)

    assert in_parts["auc"].tolist() == whole["auc"].tolist()
    for name in METRICS:
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
