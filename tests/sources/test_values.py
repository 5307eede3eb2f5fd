"""Values as people write them: marks of missing values, money, early times, repeated rows, ids of another spelling."""

import logging

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sources.columns import MARKS, VALUE_MARKS, to_id, to_number, to_text
from sources.times import ambiguous_form, to_time

HEADER = "user,item,time,rating\n"


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("$1,099.00", 1099),
        ("1.099,00 €", 1099),
        ("€ 4,50", 4.5),
        ("1,234,567", 1234567),
        ("USD 12.5", 12.5),
        ("-1,000", -1000),
        ("12 kr", 12),
    ],
)
def test_money_and_separated_thousands_are_numbers(text, number):
    assert to_number(pl.Series([text]))[0].to_list() == [number]


@pytest.mark.parametrize("text", ["1,2,3", "12,34", "1.2.3", "$", "1,0999", "Free to Play", "5 stars"])
def test_what_only_looks_like_a_number_is_none(text):
    assert to_number(pl.Series([text]))[1].to_list() == [True]


@settings(deadline=None)
@given(st.lists(st.integers(-(10**9), 10**9), min_size=1))
def test_a_number_is_the_same_with_a_decimal_comma(cents):
    texts = [f"{one / 100:.2f}" for one in cents]

    found, bad = to_number(pl.Series([text.replace(".", ",") for text in texts]), decimal_comma=True)

    assert found.to_list() == [float(text) for text in texts]
    assert not bad.any()


@settings(deadline=None)
@given(st.lists(st.integers(-(10**12), 10**12), min_size=1))
def test_a_number_is_the_same_with_separated_thousands(numbers):
    assert to_number(pl.Series([f"{one:,}" for one in numbers]))[0].to_list() == numbers


@pytest.mark.parametrize("mark", VALUE_MARKS)
def test_a_mark_of_a_missing_value_is_no_number_no_time_and_no_fault(mark):
    for values, bad in (to_number(pl.Series(["1", mark])), to_time(pl.Series(["2020-01-01", f" {mark} "]))):
        assert values.null_count() == 1
        assert bad.to_list() == [False, False]
    kept = [None] if mark in MARKS else [mark]
    assert to_text(pl.Series([mark])).to_list() == to_id(pl.Series([mark])).to_list() == kept


def test_a_missing_rating_is_told_as_empty(source):
    source.write("events.csv", HEADER + "1,9,2020-01-01,NA\n")

    assert "line 2  rating  'NA'  is empty" in source.message()


@pytest.mark.parametrize(
    ("values", "form"),
    [
        (["01/07/2020 8:26", "02/07/2020 9:00"], "%m/%d/%Y %H:%M"),
        (["13/07/2020 8:26", "02/07/2020 9:00"], None),
        (["2020-07-01"], None),
    ],
)
def test_a_form_is_in_doubt_if_day_and_month_may_change_places(values, form):
    assert ambiguous_form(pl.Series(values)) == form


def test_the_form_of_the_settings_decides_what_day_and_month_are(source):
    source.write("events.csv", HEADER + "1,9,01/07/2020,4\n1,10,02.07.2020,4\n")

    message = source.message(events={"time_format": "%d/%m/%Y"})
    source.write("events.csv", HEADER + "1,9,01/07/2020,4\n")

    assert "line 3  time  '02.07.2020'  is not a time of the form %d/%m/%Y" in message
    assert source.load(events={"time_format": "%d/%m/%Y"}).events["time"].dt.month().to_list() == [7]
    assert source.load().events["time"].dt.month().to_list() == [1]


def test_a_time_before_1980_is_a_fault_that_names_the_setting(source):
    source.write("events.csv", HEADER + "1,9,200001,4\n")

    message = source.message(events={"earliest": None})

    assert "line 2  time  '200001'  is a time before 1980-01-01" in message
    assert "set events.time_format, or events.earliest if these times are right" in message
    assert len(source.load().events) == 1  # earliest: 1970-01-01


def test_a_log_without_times_is_read_in_the_order_of_its_rows(source):
    source.write("events.csv", "user,item,rating\n1,10,4\n1,9,4\n")

    events = source.load(events={"time": {"by": "row_order"}}).events

    assert events["item"].to_list() == ["10", "9"]
    assert events["time"].dt.year().to_list() == [2000, 2000]


def test_of_repeated_events_the_one_with_the_larger_label_is_kept_and_it_is_said_in_one_line(source, caplog):
    rows = "1,9,1700000000,2\n1,9,1700000000,5\n1,9,1700000000,5\n2,9,1700000000,1\n"
    source.write("events.csv", HEADER + rows)

    with caplog.at_level(logging.WARNING, logger="sources"):
        events = source.load().events

    assert events.select("user", "rating").rows() == [("1", 5.0), ("2", 1.0)]
    assert caplog.messages == [
        "events.csv: 2 rows with the user, item and time of another row; of each only one is kept"
    ]


def test_lost_zeros_are_told_in_one_sentence_with_an_example_of_each_side(source):
    source.write("events.csv", HEADER + "".join(f"1,{n},{1700000000 + n},4\n" for n in range(2005018, 2005048)))
    source.write("items.csv", "id,title\n" + "".join(f"000{n},Book\n" for n in range(2005018, 2005048)))

    assert source.message() == (
        "events.csv: 1 fault, nothing was read\n"
        "  column  item  30 of 30 are not in items.csv: here an id is like '2005018', there like '0002005018'\n"
        "  fix: leading zeros were lost in one file: export it again with ids as text"
    )


def test_ids_as_whole_floats_in_one_file_are_those_of_the_other(source):
    source.write("items.csv", "id,title\n9.0,Heat\n10.0,Fargo\n,\n".replace(",\n", "") + "11.0,Alien\n")

    assert source.load().items["item"].to_list() == ["9", "10", "11"]
    assert source.load().events["item"].to_list() == ["10", "10", "9"]


def test_what_is_still_to_be_filled_in_is_told_once_with_its_setting(source):
    message = source.message(events={"time": "FILL_IN", "user": "FILL_IN"})

    assert message == (
        "events.csv: 2 faults, nothing was read\n"
        "  events.user is still FILL_IN; there are 'user', 'item', 'time', 'rating'\n"
        "  events.time is still FILL_IN; there are 'user', 'item', 'time', 'rating'\n"
        "  fix: set events.user in knowflow.yaml to a column, or leave the setting out\n"
        "  fix: set events.time in knowflow.yaml to a column, or leave the setting out"
    )
