"""Leak-free statistics: each equals a naive loop over events, and nothing that a sample may not know changes them."""

import math
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctr import scale, statistics
from ctr.scale import standardised_columns
from ctr.statistics import Counted, Log, count_statistics, prior_of, user_residuals

SHARES = np.array([[1, 0, 0], [0.5, 0.5, 0], [0, 0, 0], [0.5, 0, 1]], dtype=np.float32)  # item 2 has no category
COLUMNS = (
    *("mean_label", "log_count", "mean", "deviation", "deviation_30"),
    *(f"{what}_{last}" for what in ("rating", "label", "surprise") for last in (1, 3, 10, 30)),
    *("surprise", "log_gap", "log_hour", "affinity", "log_affinity_count"),
    *("item_log_count", "item_mean", "item_label", "item_residual"),
)
# A moment is 20 minutes, so that an hour is three of them; few moments, so that there are many ties.
EVENTS = st.tuples(st.integers(0, 4), st.integers(0, 3), st.integers(0, 7), st.integers(1, 5))
LOGS = st.lists(EVENTS, min_size=1, max_size=24)


def log_of(events):
    user, item, moment, rating = (np.array([event[c] for event in events]) for c in range(4))
    time = (moment * 1200).astype("datetime64[s]").astype("datetime64[us]")
    label = (rating >= 4).astype(np.float64)
    return Log(user.astype(np.int64), item.astype(np.int64), time, rating.astype(np.float64), label)


def count(log):
    return count_statistics(log, SHARES)


def mean(values, default):
    return sum(values) / len(values) if values else default


def naive(log):
    """By the words of the docstrings, one sample and one event at a time."""
    rows = range(len(log.user))
    minutes = (log.time.astype(np.int64) / 6e7).tolist()
    user, item, rating, label = (column.tolist() for column in (log.user, log.item, log.rating, log.label))

    def before(row, code=None):
        """Strictly earlier events of anybody, or those that share the row's code, oldest first."""
        same = [m for m in rows if minutes[m] < minutes[row] and (code is None or code[m] == code[row])]
        return sorted(same, key=lambda m: (minutes[m], m))

    def usual(row, of):
        return mean([of[m] for m in before(row)], math.nan)

    def user_mean(row):
        past, prior = before(row, user), usual(row, rating)
        return prior + sum(rating[m] - prior for m in past) / (len(past) + 5)

    def residual(row):
        return np.nan_to_num(rating[row] - user_mean(row))

    def surprise(row):
        seen, prior = before(row, item), usual(row, rating)
        return np.nan_to_num(rating[row] - prior - sum(rating[m] - prior for m in seen) / (len(seen) + 5))

    out = []
    for row in rows:
        past = before(row, user)
        n, recent = len(past), past[-30:]
        spread = np.var([rating[m] for m in past]) if past else 0
        prior, prior_label = usual(row, rating), usual(row, label)
        variance = np.var([rating[m] for m in before(row)]) if before(row) else math.nan
        line = [
            (sum(label[m] for m in past) + 5 * prior_label) / (n + 5),
            math.log(1 + n),
            sum(rating[m] - prior for m in past) / (n + 5) if before(row) else math.nan,
            math.sqrt((n * spread + 5 * variance) / (n + 5)),
            np.std([rating[m] for m in recent]) if recent else 0,
        ]
        for of, default in ((rating.__getitem__, prior), (label.__getitem__, prior_label), (surprise, 0)):
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
        seen = before(row, item)
        line.append(math.log(1 + len(seen)))
        unknown = 0.0 if before(row) else math.nan
        for values in (
            [rating[m] - prior for m in seen] or [unknown],
            [label[m] - prior_label for m in seen] or [unknown],
            [residual(m) for m in seen],
        ):
            line.append(sum(values) / (len(seen) + 5))
        out.append(line)
    return np.array(out), np.array([surprise(row) for row in rows]), np.array([user_mean(row) for row in rows])


@given(LOGS)
def test_every_statistic_equals_a_naive_loop_over_events(events):
    log = log_of(events)

    counted = count(log)

    values, surprise, user_mean = naive(log)
    assert counted.values.shape == (len(events), len(COLUMNS))
    for place, name in enumerate(COLUMNS):
        np.testing.assert_allclose(counted.values[:, place], values[:, place], atol=1e-6, err_msg=name)
    np.testing.assert_allclose(counted.surprise, surprise, atol=1e-9)
    np.testing.assert_allclose(counted.user_mean, user_mean, atol=1e-9)


def test_the_prior_is_the_mean_over_strictly_earlier_events_of_anybody():
    # Ratings 1 and 4 at moment 0, then 5: before it the mean is 2.5, the variance 1.5^2, one of two liked.
    prior = prior_of(log_of([(0, 0, 0, 1), (1, 0, 0, 4), (0, 0, 1, 5)]))

    assert (prior.rating[2], prior.variance[2], prior.label[2]) == (2.5, 2.25, 0.5)
    assert np.isnan([prior.rating[:2], prior.variance[:2], prior.label[:2]]).all()  # nothing is earlier


def test_statistics_of_a_small_log_are_those_worked_out_by_hand():
    # Users 0 and 1 give item 0 four and five stars, user 0 gives item 1 two; later user 0 rates item 0 again.
    log = log_of([(0, 0, 0, 4), (0, 1, 1, 2), (1, 0, 1, 5), (0, 0, 2, 1)])

    line = dict(zip(COLUMNS, count(log).values[3], strict=True))

    prior = 11 / 3  # of 4, 2 and 5; labels 1, 0, 1 -> 2/3
    assert line["log_count"] == pytest.approx(math.log(3))
    assert line["mean_label"] == pytest.approx((1 + 5 * 2 / 3) / 7)
    assert line["mean"] == pytest.approx((4 + 2 - 2 * prior) / 7)
    assert line["rating_1"] == 2
    assert line["rating_3"] == 3
    # When item 1 got its 2, the usual was 4 and nobody had rated it: surprise -2. Before the first event nothing was.
    assert line["surprise_1"] == pytest.approx(-2)
    assert line["surprise_3"] == pytest.approx((-2 + 0) / 2)
    assert line["log_gap"] == pytest.approx(math.log(1 + 1200))
    # Category 0 is that of items 0 and 1: both earlier ratings, minus their mean 3, add up to 0.
    assert line["affinity"] == pytest.approx(0)
    assert line["log_affinity_count"] == pytest.approx(math.log(3))
    assert line["item_mean"] == pytest.approx((4 + 5 - 2 * prior) / 7)
    assert line["item_label"] == pytest.approx((1 + 1 - 2 * 2 / 3) / 7)
    # User 1 had no event before and the usual was 4: residual 5 - 4; of the very first event nothing is expected.
    assert line["item_residual"] == pytest.approx((0 + 1) / 7)


@given(LOGS, st.data())
def test_no_event_at_or_after_a_sample_s_time_changes_its_statistics_whoever_s_it_is(events, data):
    row = data.draw(st.integers(0, len(events) - 1))
    user, item, moment, _ = events[row]
    later = [m for m, event in enumerate(events) if event[2] >= moment and m != row]
    before = count(log_of(events))

    altered = list(events)
    for m in later:  # another user, item, rating, and another moment at or after the sample's
        altered[m] = data.draw(
            st.tuples(st.integers(0, 4), st.integers(0, 3), st.integers(moment, 9), st.integers(-50, 50))
        )
    altered[row] = (user, item, moment, data.draw(st.integers(-50, 50)))  # its own rating, too
    permuted = list(events)
    for m, other in zip(later, data.draw(st.permutations(later)), strict=True):
        permuted[m] = events[other]
    deleted = [event for m, event in enumerate(events) if m not in later]
    place = row - sum(m < row for m in later)

    for changed, where in ((altered, row), (permuted, row), (deleted, place)):
        after = count(log_of(changed))
        np.testing.assert_array_equal(after.values[where], before.values[row])  # not even in the rounding
        np.testing.assert_array_equal(after.user_mean[where], before.user_mean[row])


def test_the_own_rating_changes_the_statistics_of_later_rows_of_the_user_and_of_the_item():
    # The counterpart: a rating is seen by later rows, be it of the user, of the item, or by way of what is usual.
    log = log_of([(0, 0, 0, 1), (0, 2, 0, 2), (0, 1, 1, 3), (1, 0, 1, 3), (2, 3, 1, 3)])
    flipped = replace(log, rating=np.array([5.0, 2, 3, 3, 3]), label=np.array([1.0, 0, 0, 0, 0]))

    before, after = count(log).values, count(flipped).values

    changed = ~np.isclose(after, before, atol=1e-9, equal_nan=True)
    names = [{name for name, differs in zip(COLUMNS, line, strict=True) if differs} for line in changed]
    usual = {"mean_label", "deviation", "rating_1", "rating_3", "rating_10", "rating_30"}
    usual |= {"label_1", "label_3", "label_10", "label_30"}
    assert names[0] == names[1] == set()  # itself, and one of the same moment
    assert {"mean_label", "deviation", "rating_3", "label_3", "affinity"} <= names[2]
    assert names[3] == usual | {"item_mean", "item_label"}  # another user's row of the item
    assert names[4] == usual  # a stranger's row of another item


@given(LOGS)
def test_residuals_of_counted_rows_add_up_to_nothing_per_user(events):
    log = log_of(events)

    counted = log.time < np.median(log.time.astype(np.int64)).astype("datetime64[us]")

    residual = user_residuals(log.user, log.rating, counted)

    for user in set(log.user[counted].tolist()):
        assert residual[counted & (log.user == user)].sum() == pytest.approx(0, abs=1e-6)
    lonely = ~np.isin(log.user, log.user[counted])
    np.testing.assert_array_equal(residual[lonely], log.rating[lonely])


@given(LOGS, st.integers(1, 5), st.randoms())
def test_counting_a_few_users_at_a_time_changes_no_bit(events, rows, random):
    log = log_of(events)
    log = replace(log, rating=log.rating / 7, happened=np.array([random.random() < 0.8 for _ in events]))
    whole = count(log)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(statistics, "ROWS", rows)
        found = count(log)

    np.testing.assert_array_equal(found.values, whole.values)


def test_rows_of_some_keys_at_a_time_are_all_rows_once_and_no_key_is_cut(monkeypatch):
    monkeypatch.setattr(statistics, "ROWS", 3)

    parts = [rows.tolist() for rows in statistics.rows_by(np.array([2, 0, 0, 5, 2, 7, 7, 7, 7]))]

    assert parts == [[1, 2], [0, 3, 4], [5, 6, 7, 8]]  # 0, then 2 to 5, then 7 alone, which has more than three


def test_the_last_hour_is_an_hour_in_a_log_of_many_users_and_ten_thousand_years():
    # Two events of a user are an hour apart, to the microsecond more or less; a third is thousands of years older.
    hour, user = 3_600_000_000, np.repeat(np.arange(3), 3) * 10**6
    second = np.array([0, 2**57, 2**57 + hour] * 2 + [0, 2**57, 2**57 + hour + 1])
    rating = np.ones(9)

    counted = count(Log(user, np.zeros(9, dtype=np.int64), second.astype("datetime64[us]"), rating, rating))

    within = np.expm1(counted.values[:, COLUMNS.index("log_hour")])
    assert within == pytest.approx([0, 0, 1, 0, 0, 1, 0, 0, 0])


def test_counting_a_large_log_takes_few_bytes_a_row(monkeypatch):
    random, size = np.random.default_rng(0), 40_000
    time = np.sort(random.integers(0, 10**6, size)).astype("datetime64[s]").astype("datetime64[us]")
    rating = random.integers(1, 6, size).astype(np.float32)
    log = Log(random.integers(0, 800, size), random.integers(0, 200, size), time, rating, rating > 3)
    monkeypatch.setattr(statistics, "ROWS", size // 40)  # what a part needs does not grow with the log
    monkeypatch.setattr(scale, "BLOCK", size // 40)

    tracemalloc.start()
    counted = Counted.of(log, np.eye(200, 5, dtype=np.float32))
    found = standardised_columns(counted.columns, len(COLUMNS), time)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    # All 26 columns in double precision would take 208 bytes a row more than the 104 of the result.
    assert found.dtype == np.float32
    assert peak / size < 104 + 5 * 8 + 80
