"""Requests see strictly earlier events of their own user alone."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from recommenders.log import Log, requests_at


def test_an_event_of_the_same_moment_is_no_history(make_log, hour):
    log = make_log([("u", 0, 0, 5), ("u", 1, 1, 5), ("v", 3, 0, 5), ("u", 2, 1, 5)])

    asked = requests_at(log, np.array(["u", "u", "v", "w"]), np.array([hour(1), hour(1.5), hour(0), hour(9)]))

    assert [asked.past.item[asked.row == row].tolist() for row in range(4)] == [[0], [0, 1, 2], [], []]
    assert asked.newest(2).tolist() == [[-1, 0], [2, 3], [-1, -1], [-1, -1]]


def test_parts_and_liked_events_keep_their_requests(make_log, hour):
    log = make_log([("u", 0, 0, 5), ("u", 1, 1, 1), ("v", 2, 0, 5)])
    asked = requests_at(log, np.array(["v", "u", "v"]), np.array([hour(3)] * 3))

    assert asked.part(1, 3).past.item.tolist() == [0, 1, 2]
    assert asked.part(1, 3).row.tolist() == [0, 0, 1]
    assert asked.liked().start.tolist() == [0, 1, 2, 3]


@given(st.integers(0, 10_000))
def test_histories_are_those_of_a_loop(seed):
    chance = np.random.default_rng(seed)
    time = np.sort(chance.integers(0, 6, 20)).astype("datetime64[us]")
    log = Log(chance.choice(list("abc"), 20), np.arange(20), time, np.ones(20, np.float32), np.ones(20, np.float32))
    users, moments = chance.choice(list("abcd"), 8), chance.integers(0, 8, 8).astype("datetime64[us]")

    asked = requests_at(log, users, moments)

    for row, (user, moment) in enumerate(zip(users, moments, strict=True)):
        expected = np.flatnonzero((log.user == user) & (log.time < moment)).tolist()
        assert asked.past.item[asked.row == row].tolist() == expected
