"""Histories: never an event of the same moment or a later one, and nothing that comes later changes them."""

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sources.events import histories

LOGS = st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 6)), max_size=25)  # few moments: many ties
LENGTHS = st.integers(1, 5)


def events(log):
    start = datetime(2024, 1, 1, tzinfo=UTC)
    times = [start + timedelta(seconds=second) for _, second in log]
    return pl.DataFrame(
        {"user": [user for user, _ in log], "time": times}, schema={"user": pl.String, "time": pl.Datetime("us", "UTC")}
    )


def naive(log, length):
    """By the words of the rule: the newest events of the same user with a strictly smaller time, oldest first."""
    found = []
    for user, second in log:
        earlier = [row for row, (other, then) in enumerate(log) if other == user and then < second]
        earlier = sorted(earlier, key=lambda row: (log[row][1], row))[-length:]
        found.append([-1] * (length - len(earlier)) + earlier)
    return np.array(found, dtype=np.int32).reshape(len(log), length)


def test_histories_of_a_small_log_are_those_found_by_hand():
    log = [("a", 0), ("b", 0), ("a", 1), ("a", 2), ("b", 5)]  # rows 0 to 4

    found = histories(events(log), length=2)

    assert found.dtype == np.int32
    assert found.tolist() == [
        [-1, -1],  # the first of a
        [-1, -1],  # the first of b
        [-1, 0],  # a at 1 has seen a at 0
        [0, 2],  # a at 2 has seen both, the newest last
        [-1, 1],  # b at 5 has seen b at 0, and nothing of a
    ]


def test_a_history_never_holds_an_event_of_the_same_second():
    log = [("a", 0), ("a", 1), ("a", 1), ("a", 1), ("a", 2)]

    found = histories(events(log), length=4)

    # The three of second 1 see only second 0; the one of second 2 sees all four, ties in the order of their rows.
    assert found.tolist() == [[-1] * 4, [-1, -1, -1, 0], [-1, -1, -1, 0], [-1, -1, -1, 0], [0, 1, 2, 3]]


def test_a_log_of_one_moment_has_no_history_at_all():
    assert (histories(events([("a", 3)] * 5), length=3) == -1).all()


def test_the_newest_events_are_kept_when_there_are_more_than_asked_for():
    assert histories(events([("a", second) for second in range(5)]), length=2)[-1].tolist() == [2, 3]


def test_no_events_have_no_histories():
    assert histories(events([]), length=3).shape == (0, 3)


@pytest.mark.parametrize("kind", [pl.String, pl.Categorical])
def test_users_may_be_stored_as_categories(kind):
    log = [("b", 0), ("a", 1), ("b", 2), ("a", 3)]

    found = histories(events(log).with_columns(pl.col("user").cast(kind)), length=1)

    assert found.tolist() == [[-1], [-1], [0], [1]]


@given(LOGS, LENGTHS)
def test_histories_equal_those_of_a_naive_loop(log, length):
    in_time = sorted(log, key=lambda event: event[1])

    np.testing.assert_array_equal(histories(events(in_time), length), naive(in_time, length))


@given(LOGS, LENGTHS)
def test_histories_are_safe_also_when_events_are_not_sorted(log, length):
    np.testing.assert_array_equal(histories(events(log), length), naive(log, length))


@given(LOGS, LENGTHS)
def test_history_rows_belong_to_the_same_user_at_a_strictly_smaller_time(log, length):
    found = histories(events(log), length)

    for row, history in enumerate(found):
        kept = [log[place] for place in history if place >= 0]
        assert all(user == log[row][0] and second < log[row][1] for user, second in kept)
        assert [second for _, second in kept] == sorted(second for _, second in kept)
        assert list(history[: length - len(kept)]) == [-1] * (length - len(kept))


@given(log=LOGS, length=LENGTHS, cut=st.integers(0, 7), data=st.data())
def test_later_events_change_no_earlier_history_when_permuted_altered_or_deleted(log, length, cut, data):
    in_time = sorted(log, key=lambda event: event[1])
    earlier = [event for event in in_time if event[1] < cut]
    later = [event for event in in_time if event[1] >= cut]
    before = histories(events(in_time), length)[: len(earlier)]

    permuted = data.draw(st.permutations(later))
    altered = [(data.draw(st.sampled_from("abcd")), second + data.draw(st.integers(0, 3))) for _, second in later]
    for other in (permuted, altered, []):
        after = histories(events(earlier + list(other)), length)[: len(earlier)]
        np.testing.assert_array_equal(after, before)


@given(log=LOGS, length=LENGTHS)
def test_an_event_of_another_user_changes_no_history(log, length):
    in_time = sorted(log, key=lambda event: event[1])
    alone = [event for event in in_time if event[0] == "a"]
    rows = [row for row, event in enumerate(in_time) if event[0] == "a"]

    together = histories(events(in_time), length)[rows]

    back = {row: place for place, row in enumerate(rows)} | {-1: -1}
    assert [[back[row] for row in history] for history in together.tolist()] == histories(
        events(alone), length
    ).tolist()


@given(log=LOGS, length=LENGTHS, data=st.data())
def test_a_history_of_some_events_is_that_of_the_rule_without_the_others(log, length, data):
    shown = data.draw(st.lists(st.booleans(), min_size=len(log), max_size=len(log)))
    wanted = []
    for user, second in log:
        earlier = [r for r, (other, then) in enumerate(log) if other == user and then < second and shown[r]]
        earlier = sorted(earlier, key=lambda row: (log[row][1], row))[-length:]
        wanted.append([-1] * (length - len(earlier)) + earlier)

    found = histories(events(log), length, np.array(shown, dtype=bool))

    assert found.tolist() == np.array(wanted, dtype=np.int32).reshape(len(log), length).tolist()
