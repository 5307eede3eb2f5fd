"""Sums over strictly earlier rows: equal to a naive loop, and blind to the same moment."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctr.earlier import strictly_earlier

ROWS = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 5), st.integers(-9, 9)), max_size=30)  # many ties
LAST = st.one_of(st.none(), st.integers(1, 4))


def columns(rows):
    key, second, value = (np.array([row[c] for row in rows], dtype=np.int64) for c in range(3))
    return key, second.astype("datetime64[us]"), value.astype(np.float64)


def naive(rows, place, last=None):
    """Values of the newest `last` rows of the same key with a strictly smaller time, oldest first."""
    key, second, _ = rows[place]
    past = [(then, row) for row, (other, then, _) in enumerate(rows) if other == key and then < second]
    return [rows[row][2] for _, row in sorted(past)][-last if last else None :]


@given(ROWS, LAST)
def test_totals_counts_and_means_equal_a_loop_over_all_rows(rows, last):
    key, time, value = columns(rows)

    earlier = strictly_earlier(key, time)

    expected = [naive(rows, place, last) for place in range(len(rows))]
    assert earlier.count(last).tolist() == [len(past) for past in expected]
    assert earlier.total(value, last) == pytest.approx([sum(past) for past in expected], abs=1e-9)
    means = [np.mean(past) if past else 0.25 for past in expected]
    assert earlier.mean(value, last, prior=0.25) == pytest.approx(means, abs=1e-9)


@given(ROWS)
def test_the_newest_earlier_row_is_the_last_of_the_moment_before(rows):
    key, time, _ = columns(rows)

    found = strictly_earlier(key, time).newest()

    for place, (mine, second, _) in enumerate(rows):
        past = [(then, row) for row, (other, then, _) in enumerate(rows) if other == mine and then < second]
        assert found[place] == (max(past)[1] if past else -1)


@given(ROWS.filter(bool), st.data())
def test_no_row_of_another_key_or_of_a_later_moment_changes_a_total_not_even_in_its_rounding(rows, data):
    key, time, value = columns(rows)
    place = data.draw(st.integers(0, len(rows) - 1))
    unseen = (key != key[place]) | (time >= time[place])
    value, earlier = value / 7, strictly_earlier(key, time)  # sevenths are rounded

    changed = np.where(unseen, value * 1e9 + 1 / 3, value)

    for last in (None, 2):
        assert earlier.total(changed, last)[place] == earlier.total(value, last)[place]


def test_a_moment_shared_by_all_has_no_earlier_row():
    earlier = strictly_earlier(np.zeros(4, dtype=np.int64), np.zeros(4, dtype="datetime64[us]"))

    assert earlier.count().tolist() == [0] * 4
    assert earlier.newest().tolist() == [-1] * 4


def test_no_rows_have_no_sums():
    earlier = strictly_earlier(np.zeros(0, dtype=np.int64), np.zeros(0, dtype="datetime64[us]"))

    assert earlier.total(np.zeros(0)).shape == (0,)
    assert earlier.newest().shape == (0,)
