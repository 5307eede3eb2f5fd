"""The state of a subject changes with all of its own data, and with nothing else."""

from dataclasses import replace
from datetime import timedelta

import polars as pl
import pytest

from llm_tasks.pipeline.own_data import own_data_of, states_of, subjects_of, without_subjects
from sources.tables import Dataset

START = pl.datetime(2024, 1, 1, time_unit="us", time_zone="UTC")
EVENTS = pl.select(
    user=pl.Series(["a", "b", "a", "c"]),
    item=pl.Series(["x", "x", "y", "z"]),
    time=START + pl.duration(days=pl.int_range(4)),
    rating=pl.Series([1.0, 2.0, None, 4.0], dtype=pl.Float32),
    label=pl.Series([0.0, 0.0, 1.0, 1.0], dtype=pl.Float32),
    position=pl.Series([0, 0, 1, 0], dtype=pl.UInt32),
    session=pl.Series(["s", "s", None, "t"]),
    part=pl.Series(["train", "train", "validation", "test"]),
)
ITEMS = pl.DataFrame(
    {"item": ["x", "y", "z"], "title": ["X", "Y", None], "kinds": [["p", "q"], [], None], "price": [1.0, None, 3.0]}
)
USERS = pl.DataFrame({"user": ["a", "b", "d"], "city": ["Bonn", None, "Ulm"]})
DATA = Dataset(EVENTS, ITEMS, USERS, EVENTS.select("item"), (), ("kinds",), ("price",), "1", sampled=EVENTS)
OTHER = {pl.String: "other", pl.Float32: 9.0, pl.Float64: 9.0, pl.UInt32: 9, pl.List(pl.String): ["q", "p"]}


def changed(before: Dataset, after: Dataset, entity: str) -> set[str]:
    """Return the subjects whose state is not the same in both."""
    known = [*"abcdxyz"]
    names = dict(zip(subjects_of(pl.Series(known)).to_list(), known, strict=True))
    old, new = (dict(states_of(of, entity).iter_rows()) for of in (before, after))
    return {names[one] for one in old.keys() | new.keys() if old.get(one) != new.get(one)}


def altered(table: pl.DataFrame, place: int, column: str) -> pl.DataFrame:
    """Return a table with another value in one place."""
    kind = table.schema[column]
    values = table[column].to_list()
    values[place] = values[place] + timedelta(1) if isinstance(kind, pl.Datetime) else OTHER[kind]
    return table.with_columns(pl.Series(column, values, dtype=kind))


@pytest.mark.parametrize("column", [name for name in EVENTS.columns if name not in ("user", "part")])
@pytest.mark.parametrize("place", range(4))
def test_an_event_is_part_of_its_users_state_whatever_is_other_about_it(place, column):
    after = replace(DATA, events=altered(EVENTS, place, column), items=ITEMS)

    assert changed(DATA, after, "user") == {EVENTS["user"][place]}
    assert changed(DATA, after, "item") == set()


def test_minus_zero_is_another_number_than_zero_as_it_is_written_in_another_way():
    zero, minus = (
        replace(
            DATA,
            events=EVENTS.with_columns(rating=pl.when(pl.col("user") == "b").then(of).otherwise("rating")),
            items=ITEMS.with_columns(price=pl.when(pl.col("item") == "z").then(of).otherwise("price")),
        )
        for of in (pl.lit(0.0), pl.lit(-0.0))
    )

    assert changed(zero, minus, "user") == {"b", "c"}
    assert changed(zero, minus, "item") == {"z"}


@pytest.mark.parametrize("column", ["title", "kinds", "price"])
@pytest.mark.parametrize(("place", "users"), [(0, {"a", "b"}), (1, {"a"}), (2, {"c"})])
def test_a_field_is_part_of_the_state_of_its_item_and_of_the_users_who_met_it(place, users, column):
    after = replace(DATA, items=altered(ITEMS, place, column))

    assert changed(DATA, after, "item") == {"xyz"[place]}
    assert changed(DATA, after, "user") == users


def test_what_a_user_table_says_is_part_of_the_users_state():
    assert changed(DATA, replace(DATA, users=altered(USERS, 0, "city")), "user") == {"a"}
    assert changed(DATA, replace(DATA, users=None), "user") == {"a", "b", "d"}


def test_new_and_lost_subjects_and_events_have_another_state_and_a_moved_split_has_not():
    assert changed(DATA, replace(DATA, events=EVENTS.head(3)), "user") == {"c"}
    assert changed(DATA, replace(DATA, items=ITEMS.head(2)), "item") == {"z"}
    assert changed(DATA, replace(DATA, events=EVENTS.with_columns(part=pl.lit("test"))), "user") == set()
    assert changed(DATA, replace(DATA, events=EVENTS.reverse(), items=ITEMS.reverse()), "user") == set()


def test_two_events_that_swap_their_times_are_another_history():
    swapped = EVENTS.with_columns(item=pl.Series(["y", "x", "x", "z"]))

    assert changed(DATA, replace(DATA, events=swapped), "user") == {"a"}


def test_the_others_and_what_is_theirs_are_left():
    left = without_subjects(own_data_of(DATA, "user"), "user", subjects_of(pl.Series(["b", "c"])))

    assert left.events["item"].to_list() == ["x", "y"]
    assert left.items["item"].to_list() == ["x", "y"]
    assert left.users is not None
    assert left.users["user"].to_list() == ["a", "d"]
    items = without_subjects(own_data_of(DATA, "item"), "item", subjects_of(pl.Series(["x"])))
    assert (items.items["item"].to_list(), len(items.events), items.users) == (["y", "z"], 0, None)
    assert without_subjects(DATA, "item", pl.Series([], dtype=pl.UInt64)) is DATA
