"""Leak-free statistics: each equals a naive loop over events, and nothing that a sample may not know changes them."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctr.statistics import Log, count_statistics, item_statistics, prior_of, user_residuals

FOLDS = 2
SHARES = np.array([[1, 0, 0], [0.5, 0.5, 0], [0, 0, 0], [0.5, 0, 1]], dtype=np.float32)  # item 2 has no category
COLUMNS = (
    *("mean_label", "log_count", "mean", "deviation", "deviation_30"),
    *(f"{what}_{last}" for what in ("rating", "label", "surprise") for last in (1, 3, 10, 30)),
    *("surprise", "log_gap", "log_hour", "affinity", "log_affinity_count"),
    *("item_log_count", "item_mean", "item_label", "item_residual"),
)
ITEM = COLUMNS.index("item_log_count")
# A moment is 20 minutes, so that an hour is three of them; few moments, so that there are many ties.
EVENTS = st.tuples(st.integers(0, 4), st.integers(0, 3), st.integers(0, 7), st.integers(1, 5), st.booleans())
LOGS = st.lists(EVENTS, min_size=1, max_size=24).filter(lambda log: any(event[4] for event in log))


def log_of(events):
    user, item, moment, rating, train = (np.array([event[c] for event in events]) for c in range(5))
    time = (moment * 1200).astype("datetime64[s]").astype("datetime64[us]")
    label = (rating >= 4).astype(np.float64)
    return Log(user.astype(np.int64), item.astype(np.int64), time, rating.astype(np.float64), label, train.astype(bool))


def count(log, prior=None):
    return count_statistics(log, SHARES, FOLDS, prior or prior_of(log))


def mean(values, default):
    return sum(values) / len(values) if values else default


def naive(log, prior):
    """By the words of the docstrings, one sample and one event at a time."""
    rows = range(len(log.user))
    minutes = (log.time.astype(np.int64) / 6e7).tolist()
    user, item, rating, label = (column.tolist() for column in (log.user, log.item, log.rating, log.label))

    def others(row):
        """Training rows of the row's item by users of other folds."""
        return [m for m in rows if log.train[m] and item[m] == item[row] and user[m] % FOLDS != user[row] % FOLDS]

    def user_mean(row):
        return mean([rating[m] for m in rows if log.train[m] and user[m] == user[row]], 0)

    def surprise(row):
        seen = others(row)
        return rating[row] - prior.rating - sum(rating[m] - prior.rating for m in seen) / (len(seen) + 5)

    out = []
    for row in rows:
        past = [m for m in rows if user[m] == user[row] and minutes[m] < minutes[row]]
        past = sorted(past, key=lambda m: (minutes[m], m))
        n, recent = len(past), past[-30:]
        spread = np.var([rating[m] for m in past]) if past else 0
        line = [
            (sum(label[m] for m in past) + 5 * prior.label) / (n + 5),
            math.log(1 + n),
            sum(rating[m] - prior.rating for m in past) / (n + 5),
            math.sqrt((n * spread + 5 * prior.variance) / (n + 5)),
            np.std([rating[m] for m in recent]) if recent else 0,
        ]
        for of, default in ((rating.__getitem__, prior.rating), (label.__getitem__, prior.label), (surprise, 0)):
            line += [mean([of(m) for m in past[-last:]], default) for last in (1, 3, 10, 30)]
        line.append(sum(surprise(m) for m in past) / (n + 5))
        line.append(math.log(1 + 60 * (minutes[row] - minutes[past[-1]])) if past else math.nan)
        line.append(math.log(1 + sum(minutes[row] - minutes[m] <= 60 for m in past)))
        affinity = counts = total = 0.0
        own_mean = mean([rating[m] for m in past], 0)
        for category in range(SHARES.shape[1]):
            share = float(SHARES[item[row], category])
            same = [m for m in past if SHARES[item[m], category] > 0]
            affinity += share * sum(rating[m] - own_mean for m in same) / (len(same) + 5)
            counts += share * len(same)
            total += share
        line += [affinity / total if total else 0, math.log(1 + counts / total) if total else 0]
        seen = others(row)
        line.append(math.log(1 + len(seen)))
        for values in (
            [rating[m] - prior.rating for m in seen],
            [label[m] - prior.label for m in seen],
            [rating[m] - user_mean(m) for m in seen],
        ):
            line.append(sum(values) / (len(seen) + 5))
        out.append(line)
    return np.array(out), np.array([surprise(row) for row in rows])


@given(LOGS)
def test_every_statistic_equals_a_naive_loop_over_events(events):
    log = log_of(events)
    prior = prior_of(log)

    counted = count(log)

    values, surprise = naive(log, prior)
    assert counted.values.shape == (len(events), len(COLUMNS))
    for place, name in enumerate(COLUMNS):
        np.testing.assert_allclose(counted.values[:, place], values[:, place], atol=1e-6, err_msg=name)
    np.testing.assert_allclose(counted.surprise, surprise, atol=1e-9)
    np.testing.assert_allclose(counted.user_mean, prior.rating + values[:, COLUMNS.index("mean")], atol=1e-9)


def test_the_prior_is_the_mean_over_training_rows_alone():
    # ratings 1 and 4 train: mean 2.5, variance 1.5^2, one of two liked; the 5 is for testing
    log = log_of([(0, 0, 0, 1, True), (1, 0, 0, 4, True), (0, 0, 1, 5, False)])

    prior = prior_of(log)

    assert (prior.rating, prior.variance, prior.label) == (2.5, 2.25, 0.5)


def test_statistics_of_a_small_log_are_those_worked_out_by_hand():
    # User 0 rates items 0, 1 and, at a later moment, item 0 again; user 1 (of the other fold) gave item 0 five stars.
    log = log_of([(0, 0, 0, 4, True), (0, 1, 0, 2, True), (1, 0, 0, 5, True), (0, 0, 1, 1, False)])
    prior = prior_of(log)  # (4 + 2 + 5) / 3 = 11/3; labels 1, 0, 1 -> 2/3

    line = dict(zip(COLUMNS, count(log).values[3], strict=True))

    assert line["log_count"] == pytest.approx(math.log(3))
    assert line["mean_label"] == pytest.approx((1 + 5 * 2 / 3) / 7)
    assert line["mean"] == pytest.approx((4 + 2 - 2 * 11 / 3) / 7)
    assert line["rating_1"] == 2  # of two events of one moment the later row is the newer
    assert line["rating_3"] == 3
    # Nobody of the other fold rated item 1, so its surprise is 2 - 11/3; item 0 usually gets (5 - 11/3) / (1 + 5) more.
    assert line["surprise_1"] == pytest.approx(2 - 11 / 3)
    assert line["surprise_3"] == pytest.approx(((2 - 11 / 3) + (4 - 11 / 3 - (5 - 11 / 3) / 6)) / 2)
    assert line["log_gap"] == pytest.approx(math.log(1 + 1200))
    # Category 0 is that of items 0 and 1: both earlier ratings, minus their mean 3, add up to 0.
    assert line["affinity"] == pytest.approx(0)
    assert line["log_affinity_count"] == pytest.approx(math.log(3))
    assert line["item_mean"] == pytest.approx((5 - 11 / 3) / 6)
    assert line["item_residual"] == 0  # user 1 has this one rating: it equals the user's mean
    assert prior.rating == pytest.approx(11 / 3)


@given(LOGS, st.data())
def test_a_row_s_own_rating_and_label_never_change_its_own_statistics(events, data):
    log = log_of(events)
    row = data.draw(st.integers(0, len(events) - 1))
    rating, label = log.rating.copy(), log.label.copy()
    rating[row], label[row] = data.draw(st.integers(-50, 50)), 1 - label[row]

    before, after = count(log), count(replace(log, rating=rating, label=label), prior_of(log))

    np.testing.assert_array_equal(after.values[row], before.values[row])  # not even in the rounding
    assert after.user_mean[row] == before.user_mean[row]


def test_the_own_rating_changes_the_statistics_of_others():
    # The counterpart: a rating is seen by the user's later rows and, of a training row, by other folds' rows of the item.
    log = log_of([(0, 0, 0, 1, True), (0, 2, 0, 2, True), (0, 1, 1, 3, True), (1, 0, 0, 3, True), (2, 0, 0, 3, True)])
    flipped = replace(log, rating=np.array([5.0, 2, 3, 3, 3]), label=np.array([1.0, 0, 0, 0, 0]))

    before, after = count(log).values, count(flipped, prior_of(log)).values

    changed = ~np.isclose(after, before, atol=1e-9, equal_nan=True)
    names = [{name for name, differs in zip(COLUMNS, line, strict=True) if differs} for line in changed]
    assert names[0] == names[1] == set()  # itself, and one of the same moment
    assert {"mean_label", "mean", "deviation", "rating_3", "label_3", "surprise_3", "affinity"} <= names[2]
    assert names[3] == {"item_mean", "item_label", "item_residual"}  # user 1 is of the other fold
    assert names[4] == set()  # user 2 is of user 0's fold


@given(LOGS, st.data())
def test_no_event_at_or_after_a_sample_s_time_changes_its_user_statistics(events, data):
    row = data.draw(st.integers(0, len(events) - 1))
    user, item, moment = events[row][:3]
    later = [m for m, event in enumerate(events) if event[0] == user and event[2] >= moment and m != row]
    prior = prior_of(log_of(events))
    before = count(log_of(events), prior).values[row, :ITEM]

    altered = list(events)
    for m in later:  # another item, another moment at or after the sample's, another rating, another part
        when, what = (
            data.draw(st.integers(moment, 9)),
            data.draw(st.tuples(st.integers(0, 3), st.integers(1, 5), st.booleans())),
        )
        altered[m] = (user, what[0], when, what[1], what[2])
    altered[row] = (user, item, moment, data.draw(st.integers(1, 5)), data.draw(st.booleans()))
    permuted = list(events)
    for m, other in zip(later, data.draw(st.permutations(later)), strict=True):
        permuted[m] = events[other]
    deleted = [event for m, event in enumerate(events) if m not in later]
    place = row - sum(m < row for m in later)

    for changed, where in ((altered, row), (permuted, row), (deleted, place)):
        after = count(log_of(changed), prior).values[where, :ITEM]
        np.testing.assert_array_equal(after, before)


@given(LOGS, st.data())
def test_validation_and_test_ratings_never_change_item_statistics_or_the_prior(events, data):
    log = log_of(events)
    unseen = ~log.train
    rating = np.where(unseen, float(data.draw(st.integers(-50, 50))), log.rating)
    changed = replace(log, rating=rating, label=np.where(unseen, 1 - log.label, log.label))

    assert prior_of(changed) == prior_of(log)
    before, after = (item_statistics(one, len(SHARES), FOLDS, prior_of(log)) for one in (log, changed))
    np.testing.assert_array_equal(after, before)


@given(LOGS)
def test_residuals_of_counted_rows_add_up_to_nothing_per_user(events):
    log = log_of(events)

    residual = user_residuals(log.user, log.rating, log.train)

    for user in set(log.user[log.train].tolist()):
        assert residual[log.train & (log.user == user)].sum() == pytest.approx(0, abs=1e-6)
    lonely = ~np.isin(log.user, log.user[log.train])
    np.testing.assert_array_equal(residual[lonely], log.rating[lonely])
