"""The stratified sample: shares, nesting, independence of the order, and what the strata mean."""

from collections import Counter
from datetime import UTC, datetime, timedelta

import polars as pl
from hypothesis import example, given
from hypothesis import strategies as st

from llm_tasks.pipeline.sample import COLD, NEARLY_COLD, OF_ITEMS, OF_USERS, draw, strata_of
from sources.tables import Dataset, event_id

ROWS = st.lists(
    st.tuples(st.integers(0, 10_000), st.sampled_from("abc")), min_size=1, max_size=60, unique_by=lambda r: r[0]
)


def drawn(rows, size, seed=0):
    places = draw([str(key) for key, _ in rows], [stratum for _, stratum in rows], size, seed)
    return [rows[place] for place in places]


@given(ROWS, st.integers(0, 70), st.integers(0, 3))
def test_a_larger_sample_begins_with_the_smaller_one_and_the_order_of_rows_does_not_matter(rows, size, seed):
    larger = drawn(rows, size + 5, seed)

    assert larger[:size] == drawn(rows, size, seed) == drawn(rows[::-1], size, seed)
    assert len(larger) == len(set(larger)) == min(size + 5, len(rows))


@given(ROWS, st.integers(3, 70))
@example([(number, "a") for number in range(50)] + [(50, "b"), (51, "c")], 3)
def test_every_stratum_has_at_least_one_row(rows, size):
    assert {stratum for _, stratum in drawn(rows, size)} == {stratum for _, stratum in rows}


def test_shares_are_proportional():
    rows = [(number, "many" if number < 70 else "some" if number < 95 else "few") for number in range(100)]

    # 20 places for 70, 25 and 5 rows: 14, 5 and 1.
    assert Counter(stratum for _, stratum in drawn(rows, 20)) == {"many": 14, "some": 5, "few": 1}


def test_another_seed_draws_other_rows():
    rows = [(number, "all") for number in range(1000)]

    # Two independent samples of 50 of 1,000 share 2.5 rows on average.
    assert len({*drawn(rows, 50, 0)} & {*drawn(rows, 50, 1)}) < 12


def data(counts: dict[str, int], tested: dict[str, int]) -> Dataset:
    """One user per count of events; items i0 ..., the first most often."""
    start, rows = datetime(2024, 1, 1, tzinfo=UTC), []
    for user, count in counts.items():
        rows += [(user, f"i{place}", start + timedelta(hours=place), "train") for place in range(count)]
    for user, count in tested.items():
        rows += [(user, "i9", start + timedelta(days=30, hours=place), "test") for place in range(count)]
    events = pl.DataFrame(rows, schema=["user", "item", "time", "part"], orient="row")
    return Dataset(events, pl.DataFrame({"item": [], "title": []}), None, None, (), (), (), "v")


def test_users_are_in_thirds_by_their_training_events_alone():
    dataset = data({"a": 1, "b": 1, "c": 5, "d": 6, "e": 9, "f": 9}, tested={"a": 50})
    few, some, many = OF_USERS

    strata = strata_of("user", list("abcdef"), dataset)

    assert strata == [few, few, some, some, many, many]


def test_items_are_cold_nearly_cold_or_in_a_third_of_the_others():
    users = {f"u{number}": number for number in range(1, 10)}  # item i0 has 9 events, i1 8, ... i8 1
    tail, middle, head = OF_ITEMS

    strata = strata_of("item", [f"i{place}" for place in range(10)], data(users, tested={"u1": 3}))

    # 9, 8, 7, 6, 5 are not cold: the third of five is at 6 and 7; i9 has test events only.
    assert strata == [head, head, middle, tail, tail, NEARLY_COLD, NEARLY_COLD, NEARLY_COLD, NEARLY_COLD, COLD]


def test_an_event_is_described_by_its_user_and_its_item_and_anything_else_is_in_one_stratum():
    dataset = data({"a": 1, "b": 2, "c": 3}, tested={})
    ids = [event_id("a", "i0"), event_id("c", "i9"), event_id("b", "i1")]

    strata = strata_of("event", ids, dataset)

    assert strata == [f"{OF_USERS[0]}, {NEARLY_COLD}", f"{OF_USERS[2]}, {COLD}", f"{OF_USERS[1]}, {NEARLY_COLD}"]
    assert strata_of("cluster", ["x", "y"], dataset) == ["all", "all"]
