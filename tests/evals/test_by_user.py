"""Intervals that draw users: noise that a user's queries share is no gain, and few users are no evidence."""

import numpy as np
import pytest

from evals.by_user import Parts, crowd, intervals, shown, verdict

RUNS = 200


def noise(queries_of: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Gains of queries, [T, RUNS], that differ by user and by query around nothing; and the user of each, [T]."""
    random = np.random.default_rng(seed)
    user = np.repeat(np.arange(len(queries_of)), queries_of)
    return random.normal(size=(len(queries_of), RUNS))[user] + random.normal(size=(len(user), RUNS)), user


def claims(values: np.ndarray, parts: Parts) -> float:
    """Share of the runs whose interval lies on one side of 0."""
    found = intervals(values, parts, parts.draws(1_000, 0))
    return float(np.mean([one["low"] > 0 or one["high"] < 0 for one in found]))


# 5% wanted; of 200 runs 6.5% are more than one sees one time in five, 9.5% one time in four hundred
@pytest.mark.parametrize("queries_of", [np.full(20, 12), np.full(60, 4), np.r_[np.full(40, 3), 30, 60, 90]])
def test_noise_that_a_users_queries_share_is_no_gain(queries_of):
    values, user = noise(queries_of, seed=1)

    by_user = claims(values, Parts(np.arange(len(user)), user, np.ones(len(user))))

    assert by_user <= 0.065


def test_drawing_queries_would_call_it_one():
    values, user = noise(np.full(20, 12), seed=1)

    by_query = claims(values, Parts(np.arange(len(user)), np.arange(len(user)), np.ones(len(user))))

    assert by_query > 0.35


def test_a_true_gain_is_seen():
    values, user = noise(np.full(60, 4), seed=2)

    assert claims(values + 1, Parts(np.arange(len(user)), user, np.ones(len(user)))) > 0.95


def test_a_mean_counts_every_part_by_its_weight_and_names_the_largest_user():
    parts = Parts(np.zeros(22, dtype=int), np.r_[np.arange(21), 0], np.r_[np.full(21, 1.0), 3.0])

    (found,) = intervals(np.r_[np.ones(21), 0.0][:, None], parts, parts.draws(200))

    assert found["mean"] == pytest.approx(21 / 24)
    assert (found["users"], found["largest_user"]) == (21, pytest.approx(4 / 24))
    assert found["low"] < found["mean"] < found["high"]


def test_where_one_user_brings_nearly_all_there_is_next_to_no_evidence():
    parts = Parts(np.arange(30), np.arange(30), np.r_[1e9, np.ones(29)])
    values = np.random.default_rng(0).normal(size=(30, 1))

    (found,) = intervals(values, parts, parts.draws(1_000))

    assert found["low"] < values[1:].mean() < found["high"]  # the widest there is: where the large user is not drawn


@pytest.mark.parametrize("users", [0, 1, 19])
def test_under_twenty_users_there_is_no_interval_and_the_reason_is_told(users):
    parts = Parts(np.arange(users), np.arange(users), np.ones(users))
    (found,) = intervals(np.full((users, 1), 0.2), parts, parts.draws(10))

    assert (found["low"], found["high"], found["users"]) == (None, None, users)
    assert found["mean"] == (pytest.approx(0.2) if users else None)
    assert verdict(found, "better", "worse", "none") == f"too few users for an interval ({users} of 20)"
    assert "[" not in shown(found)
    assert crowd(found)[0] == str(users)


def test_a_part_without_a_value_takes_its_user_along():
    parts = Parts(np.arange(21), np.arange(21), np.ones(21))

    some, none = intervals(np.c_[np.r_[np.nan, np.nan, np.ones(19)], np.full(21, np.nan)], parts, parts.draws(10))

    assert (some["mean"], some["users"], some["low"]) == (1, 19, None)
    assert none == {"mean": None, "low": None, "high": None, "users": 0, "largest_user": None}
