"""Splits: by time, with the shares asked for, and never through one moment where time decides."""

from datetime import UTC, datetime, timedelta
from fractions import Fraction

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sources.config import SplitConfig
from sources.events import rolling_split, split

START = datetime(2024, 1, 1, tzinfo=UTC)
LOGS = st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 9)), max_size=40)
TENTHS = st.sampled_from([(t, v) for t in range(1, 9) for v in range(1, 10 - t)])
TRAIN, VALIDATION, TEST = "train", "validation", "test"


def events(log):
    """Canonical events: sorted by time, each with its position within its user."""
    in_time = sorted(log, key=lambda event: event[1])
    seen = {user: 0 for user, _ in log}
    rows = []
    for user, second in in_time:
        rows.append((user, START + timedelta(seconds=second), seen[user]))
        seen[user] += 1
    schema = {"user": pl.String, "time": pl.Datetime("us", "UTC"), "position": pl.UInt32}
    return pl.DataFrame(rows, schema=schema, orient="row")


def shares(train, validation, by):
    return SplitConfig(by=by, train=train / 10, validation=validation / 10, together="event")


def test_each_user_trains_first_then_validates_then_tests():
    log = [("a", second) for second in range(10)] + [("b", second) for second in range(5)]
    table = events(log)

    parts = split(table, SplitConfig())

    # 0.8 and 0.9 of ten events are 8 and 9; of five events 4 and 4.5, of which floor leaves 4: b validates nothing.
    assert parts.filter(table["user"] == "a").to_list() == [TRAIN] * 8 + [VALIDATION, TEST]
    assert parts.filter(table["user"] == "b").to_list() == [TRAIN] * 4 + [TEST]


def test_a_user_with_one_event_is_tested_and_one_with_two_trains_once():
    table = events([("a", 0), ("b", 1), ("b", 2)])

    assert split(table, SplitConfig()).to_list() == [TEST, TRAIN, TEST]


def test_a_whole_multiple_of_a_share_does_not_fall_by_its_binary_rest():
    # In binary 0.7 + 0.1 is 0.7999999999999999, of which ten times would fall to 7 instead of 8.
    parts = split(events([("a", second) for second in range(10)]), SplitConfig(train=0.7, validation=0.1))

    assert parts.to_list() == [TRAIN] * 7 + [VALIDATION] + [TEST] * 2

    # 100 times 0.29 is 28.999999999999996.
    parts = split(events([("a", second) for second in range(100)]), SplitConfig(train=0.29, validation=0.29))

    assert parts.to_list() == [TRAIN] * 29 + [VALIDATION] * 29 + [TEST] * 42


def test_by_time_everybody_s_events_are_parted_at_the_same_two_moments():
    log = [("ab"[second % 2], second) for second in range(10)]

    parts = split(events(log), SplitConfig(by="global_time", train=0.5, validation=0.2))

    assert parts.to_list() == [TRAIN] * 5 + [VALIDATION] * 2 + [TEST] * 3


def test_by_time_events_of_one_moment_fall_to_the_same_the_later_part():
    seconds = [0, 1, 2, 3, 4, 4, 4, 7, 8, 9]

    parts = split(
        events([("a", second) for second in seconds]), SplitConfig(by="global_time", train=0.6, validation=0.2)
    )

    # The sixth of ten would be the last to train; it is of second 4, so all three of second 4 validate.
    assert parts.to_list() == [TRAIN] * 4 + [VALIDATION] * 4 + [TEST] * 2


def test_by_time_a_whole_multiple_of_a_share_does_not_fall_by_its_binary_rest():
    table = events([("a", second) for second in range(100)])

    parts = split(table, SplitConfig(by="global_time", train=0.29, validation=0.29))

    assert parts.to_list() == [TRAIN] * 29 + [VALIDATION] * 29 + [TEST] * 42


def test_by_time_a_log_of_one_moment_is_all_test():
    assert split(events([("a", 0)] * 4), SplitConfig(by="global_time")).to_list() == [TEST] * 4


def test_what_a_user_saw_at_one_moment_is_never_cut():
    # Five moments of two events each: four train, none validates, the last one is tested; b has a single moment.
    log = [("a", second // 2) for second in range(10)] + [("b", 7)] * 3

    parts = split(events(log), SplitConfig())

    assert parts.to_list() == [TRAIN] * 8 + [TEST] * 2 + [TEST] * 3
    cut = split(events(log), SplitConfig(together="event"))
    assert cut.to_list() == [TRAIN] * 8 + [VALIDATION, TEST] + [TRAIN, TRAIN, TEST]


@given(LOGS, TENTHS)
def test_by_position_no_moment_of_a_user_is_in_two_parts_and_moments_are_split_as_events_would_be(log, tenths):
    config = SplitConfig(train=tenths[0] / 10, validation=tenths[1] / 10)
    table = events(log).with_columns(split(events(log), config).alias("part"))

    moments = table.select("user", "time", "part").unique(maintain_order=True)

    assert len(moments) == table.n_unique(["user", "time"]) if len(table) else moments.is_empty()
    alone = events(list(dict.fromkeys((user, second) for user, second in sorted(log, key=lambda one: one[1]))))
    wanted = alone.with_columns(split(alone, shares(*tenths, "user_position")).alias("part"))
    assert moments.sort("user", "time").rows() == wanted.select("user", "time", "part").sort("user", "time").rows()


@pytest.mark.parametrize("by", ["user_position", "global_time"])
def test_no_events_have_no_parts(by):
    assert split(events([]), SplitConfig(by=by)).to_list() == []


@given(LOGS, TENTHS)
def test_a_split_by_position_equals_a_loop_over_users_in_exact_fractions(log, tenths):
    table = events(log)
    sizes = dict(table.group_by("user").len().iter_rows())
    first, second = Fraction(tenths[0], 10), Fraction(sum(tenths), 10)

    expected = []
    for user, _, position in table.iter_rows():
        place = TRAIN if position < int(sizes[user] * first) else TEST
        expected.append(VALIDATION if place == TEST and position < int(sizes[user] * second) else place)

    assert split(table, shares(*tenths, "user_position")).to_list() == expected


@given(LOGS, TENTHS)
def test_a_split_by_time_equals_counting_what_lies_strictly_before(log, tenths):
    table = events(log)
    times = table["time"].to_list()

    parts = split(table, shares(*tenths, "global_time")).to_list()

    # An event trains when at most the training share of all events, less than one of it, lies at or before its moment.
    for time, part in zip(times, parts, strict=True):
        until = sum(other <= time for other in times)
        bounds = [len(times) * tenths[0] // 10, len(times) * sum(tenths) // 10]
        assert part == (TRAIN if until <= bounds[0] else VALIDATION if until <= bounds[1] else TEST)


@given(LOGS, TENTHS, st.sampled_from(["user_position", "global_time"]))
def test_no_part_holds_an_event_older_than_one_of_an_earlier_part(log, tenths, by):
    table = events(log).with_columns(split(events(log), shares(*tenths, by)).alias("part"))
    order = {TRAIN: 0, VALIDATION: 1, TEST: 2}

    groups = table.partition_by("user") if by == "user_position" else [table]
    for group in groups:
        parts = [order[part] for part in group.sort("time", maintain_order=True)["part"]]
        assert parts == sorted(parts)


@given(LOGS, TENTHS)
def test_by_time_no_moment_is_in_two_parts(log, tenths):
    table = events(log).with_columns(split(events(log), shares(*tenths, "global_time")).alias("part"))

    assert len(table.select("time", "part").unique()) == table["time"].n_unique()


@given(LOGS.filter(lambda log: len(log) > 0), st.sets(st.integers(1, 9), min_size=1, max_size=4))
def test_each_cut_of_rolling_time_trains_on_all_before_it_and_tests_until_the_next(log, tenths):
    table, cuts = events(log), [tenth / 10 for tenth in sorted(tenths)]

    choosing, *windows = rolling_split(table, cuts)

    times = table["time"].to_list()
    moments = [sorted(times)[len(times) * tenth // 10] for tenth in sorted(tenths)]
    for window, begin, end in zip(windows, moments, [*moments[1:], None], strict=True):
        for time, part in zip(times, window.to_list(), strict=True):
            if time < begin:
                assert part == TRAIN
            else:
                assert part == (TEST if end is None or time < end else "none")
    # Every event from the first cut on is tested exactly once, and nothing of it chooses a setting.
    tested = [sum(window[row] == TEST for window in windows) for row in range(len(times))]
    assert tested == [int(time >= moments[0]) for time in times]
    assert all(part == "none" for time, part in zip(times, choosing.to_list(), strict=True) if time >= moments[0])
    assert set(choosing.to_list()) <= {TRAIN, VALIDATION, "none"}


def test_settings_are_chosen_on_the_stretch_before_the_first_cut():
    table = events([("a", second) for second in range(10)])

    choosing, first, second = rolling_split(table, [0.5, 0.7])

    assert choosing.to_list() == [TRAIN] * 3 + [VALIDATION] * 2 + ["none"] * 5  # as long as from 50% to 70%
    alone, _ = rolling_split(table, [0.4])
    assert alone.to_list() == [TRAIN] * 2 + [VALIDATION] * 2 + ["none"] * 6  # to the end it is 60%, more than there is
    assert first.to_list() == [TRAIN] * 5 + [TEST] * 2 + ["none"] * 3
    assert second.to_list() == [TRAIN] * 7 + [TEST] * 3


def in_sessions(log):
    """(user, second, session) -> canonical events with sessions."""
    log = sorted(log, key=lambda event: event[1])
    return events([event[:2] for event in log]).with_columns(
        pl.Series("session", [session for *_, session in log], dtype=pl.String)
    )


@pytest.mark.parametrize("by", ["user_position", "global_time"])
def test_a_session_is_in_the_part_of_its_last_event(by):
    # Ten events; 6 train and 2 validate. Session y (seconds 4 to 6) crosses the first cut, z (7 and 8) the second one.
    log = [("a", second, "x") for second in range(4)] + [("a", second, "y") for second in (4, 5, 6)]
    table = in_sessions([*log, ("a", 7, "z"), ("a", 8, "z"), ("a", 9, None)])

    parts = split(table, SplitConfig(by=by, train=0.6, validation=0.2))

    assert parts.to_list() == [TRAIN] * 4 + [VALIDATION] * 3 + [TEST] * 3


def test_events_without_a_session_stand_for_themselves_and_sessions_of_two_users_are_two():
    table = in_sessions([("a", second, None) for second in range(5)] + [("b", second, "1") for second in range(5, 10)])

    parts = split(table, SplitConfig(by="global_time", train=0.4, validation=0.2))

    assert parts.to_list() == [TRAIN] * 4 + [VALIDATION] + [TEST] * 5
    twice = in_sessions([("a", 0, "1"), ("b", 9, "1"), ("b", 8, "2")])
    assert split(twice, SplitConfig(by="global_time", train=0.4, validation=0.3)).to_list() == [TRAIN, VALIDATION, TEST]


SESSIONS = st.lists(
    st.tuples(st.sampled_from("abc"), st.integers(0, 9), st.sampled_from(["1", "2", "3", None])), max_size=40
)


@given(SESSIONS, TENTHS, st.sampled_from(["user_position", "global_time"]), st.sampled_from(["moment", "event"]))
def test_no_session_is_in_two_parts_and_no_event_moves_to_an_earlier_part(log, tenths, by, together):
    table = in_sessions(log)
    config = SplitConfig(by=by, train=tenths[0] / 10, validation=tenths[1] / 10, together=together)

    whole = table.with_columns(split(table, config), plain=split(table.drop("session"), config))

    of_session = whole.drop_nulls("session").group_by("user", "session").agg(pl.col("part").n_unique())
    assert (of_session["part"] == 1).all()
    order = pl.Enum([TRAIN, VALIDATION, TEST])
    assert whole.select(
        (pl.col("part").cast(order).to_physical() >= pl.col("plain").cast(order).to_physical()).all()
    ).item()
    alone = whole.filter(pl.col("session").is_null())
    assert alone["part"].to_list() == alone["plain"].to_list()


@given(SESSIONS.filter(len), st.sampled_from([[0.5], [0.4, 0.7]]))
def test_rolling_time_cuts_no_session(log, cuts):
    table = in_sessions(log)

    for part in rolling_split(table, cuts):
        of_session = table.with_columns(part).drop_nulls("session").group_by("user", "session")
        assert (of_session.agg(pl.col("part").n_unique())["part"] == 1).all()


@pytest.mark.parametrize("by", ["user_position", "global_time"])
def test_short_sessions_leave_the_shares_near_the_settings(by):
    table = in_sessions([(user, second, str(second // 3)) for user in "abcd" for second in range(100)])

    parts = split(table, SplitConfig(by=by))

    shares = {part: (parts == part).mean() for part in (TRAIN, VALIDATION, TEST)}
    assert shares == pytest.approx({TRAIN: 0.8, VALIDATION: 0.1, TEST: 0.1}, abs=0.03)
