"""Columns: the same values become the same canonical column, however a file stores them."""

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sources.columns import plain, to_categories, to_id, to_number, to_text, unusable
from sources.times import to_time

MOMENT = datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)  # 1,700,000,000 seconds after 1970


def test_whole_numbers_sort_as_numbers_so_that_10_comes_after_9():
    assert to_id(pl.Series(["10", "9", "100"])).sort().to_list() == [9, 10, 100]


def test_an_id_with_a_leading_zero_keeps_the_whole_column_text():
    assert to_id(pl.Series(["007", "10", "9"])).to_list() == ["007", "10", "9"]


@pytest.mark.parametrize("text", ["+5", "-0", " 5", "5 ", "1e3", "٣", "9223372036854775808", "a"])
def test_what_does_not_read_the_same_as_a_number_stays_text(text):
    assert to_id(pl.Series([text, "1"])).to_list() == [text, "1"]


@pytest.mark.parametrize(
    "column",
    [
        pl.Series([5, None, 12]),
        pl.Series([5, None, 12], dtype=pl.UInt8),
        pl.Series([5, None, 12], dtype=pl.Int128),
        pl.Series([5.0, None, 12.0]),
        pl.Series([5.0, float("nan"), 12.0], dtype=pl.Float32),
        pl.Series(["5", None, "12"]),
        pl.Series(["5", "", "12"]),
        pl.Series(["5", " ", "12"]),
        pl.Series(["5.0", "NaN", "12.0"]),
        pl.Series(["5.0", "\\N", "12"]),
        pl.Series(["5", None, "12"], dtype=pl.Categorical),
        pl.Series(["5", None, "12"], dtype=pl.Enum(["12", "5"])),
        pl.Series([b"5", None, b"12"]),
        pl.Series([Decimal(5), None, Decimal(12)], dtype=pl.Decimal(38, 0)),
        pl.Series([Decimal("5.00"), None, Decimal("12.00")], dtype=pl.Decimal(10, 2)),
    ],
    ids=lambda column: str(column.dtype),
)
def test_ids_are_the_same_from_every_type_that_holds_them(column):
    assert to_id(column).to_list() == [5, None, 12]


def test_ids_longer_than_64_bits_stay_text_with_every_digit():
    assert to_id(pl.Series([2**64 - 1, 1], dtype=pl.UInt64)).to_list() == ["18446744073709551615", "1"]
    assert to_id(pl.Series([Decimal(10**30 + 1)], dtype=pl.Decimal(38, 0))).to_list() == [f"{10**30 + 1}"]


def test_a_float_that_is_not_whole_stays_what_it_is():
    assert to_id(pl.Series([1.0, 2.5, 1e300])).to_list() == ["1", "2.5", "1e+300"]
    assert to_id(pl.Series([1.0, float("inf")])).to_list() == ["1", "inf"]


def test_a_column_without_any_id_has_none():
    assert to_id(pl.Series([None, None])).to_list() == [None, None]


@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1))
def test_ids_from_numbers_and_from_text_are_the_same_and_equally_sorted(ids):
    from_numbers, from_text = to_id(pl.Series(ids, dtype=pl.Int64)), to_id(pl.Series([str(one) for one in ids]))

    assert from_numbers.to_list() == from_text.to_list() == ids
    assert from_numbers.sort().to_list() == from_text.sort().to_list()


@given(st.lists(st.text(max_size=5)))
def test_ids_as_text_are_what_was_written_or_missing(texts):
    column = pl.Series(texts, dtype=pl.String)

    assert to_id(column).cast(pl.String).to_list() == plain(column).to_list()


@pytest.mark.parametrize(
    "value",
    [
        1_700_000_000,
        1_700_000_000.0,
        1_700_000_000_000,
        1_700_000_000_000_000,
        "1700000000",
        "1700000000000",
        "1700000000000000",
        "1700000000.0",
        " 1700000000 ",
        Decimal(1_700_000_000),
        "2023-11-14T22:13:20Z",
        "2023-11-14 22:13:20Z",
        "2023-11-14T22:13:20+00:00",
        "2023-11-14 22:13:20+00:00",
        "2023-11-14T23:13:20+01:00",
        "2023-11-14T17:13:20-0500",
        "2023-11-15 03:43:20.000 +0530",
        "2023-11-14 22:13:20 UTC",
        "2023-11-14T22:13:20",
        "2023-11-14 22:13:20",
        "2023-11-14 22:13:20.000000",
        "11/14/2023 10:13:20 PM",
        "11/14/2023 22:13:20",
        "14/11/2023 22:13:20",
        "14.11.2023 22:13:20",
        "2023/11/14 22:13:20",
        "14-Nov-2023 22:13:20",
        "Tue, 14 Nov 2023 22:13:20 +0000",
        "Tue Nov 14 22:13:20 +0000 2023",
        20231114221320,
        "20231114221320",
        datetime(2023, 11, 14, 22, 13, 20),
        MOMENT,
        MOMENT.astimezone(),
    ],
    ids=str,
)
def test_every_way_to_write_a_moment_gives_the_same_moment(value):
    times, bad = to_time(pl.Series([value]))

    assert times.dtype == pl.Datetime("us", "UTC")
    assert times.to_list() == [MOMENT]
    assert bad.to_list() == [False]


@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "UTC", "Asia/Kolkata"])
def test_stored_times_keep_their_moment_whatever_their_unit_and_zone(unit, zone):
    stored = pl.Series([MOMENT]).dt.convert_time_zone(zone or "UTC").cast(pl.Datetime(unit, zone))

    assert to_time(stored)[0].to_list() == [MOMENT]


DATES = [
    "2023-11-14",
    "2023/11/14",
    "14.11.2023",
    "11/14/2023",
    "14/11/2023",
    "14-11-2023",
    "14-Nov-2023",
    "14 Nov 2023",
]
DATES += [
    "November 14, 2023",
    "Posted November 14, 2023.",
    "11 14, 2023",
    "20231114",
    20231114,
    20231114.0,
    45244,
    "45244",
]


@pytest.mark.parametrize("value", [*DATES, date(2023, 11, 14)], ids=repr)
def test_a_date_is_its_first_moment_in_utc(value):
    assert to_time(pl.Series([value]))[0].to_list() == [datetime(2023, 11, 14, tzinfo=UTC)]


@pytest.mark.parametrize(
    "value", ["2023-11-14 22:13", "2023-11-14T22:13", "11/14/2023 22:13", "14.11.2023 22:13", "45244.925694444"]
)
def test_a_time_may_end_with_its_minute(value):
    assert to_time(pl.Series([value]))[0].to_list() == [datetime(2023, 11, 14, 22, 13, tzinfo=UTC)]


def test_parts_of_a_second_are_kept_to_the_microsecond():
    written = pl.Series(["2023-11-14T22:13:20.123456Z", "1700000000.5", "1700000000123"])

    assert [moment.microsecond for moment in to_time(written)[0]] == [123456, 500000, 123000]


def test_a_time_before_1970_is_a_negative_number():
    assert to_time(pl.Series([-1]))[0].to_list() == [datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC)]


@pytest.mark.parametrize(
    ("number", "moment"),
    [
        (10**11 - 1, datetime(5138, 11, 16, 9, 46, 39, tzinfo=UTC)),  # the last one read as seconds
        (10**11, datetime(1973, 3, 3, 9, 46, 40, tzinfo=UTC)),  # the first one read as milliseconds
        (10**14, datetime(1973, 3, 3, 9, 46, 40, tzinfo=UTC)),  # the first one read as microseconds
    ],
)
def test_the_size_of_a_number_tells_its_unit(number, moment):
    assert to_time(pl.Series([number]))[0].to_list() == [moment]


@pytest.mark.parametrize(
    "value",
    ["yesterday", "2023-02-30", "14.13.2023", "25:00", "inf", "1e30", str(10**17), "-99999999999", "0000-01-01"],
)
def test_what_is_no_time_is_told(value):
    times, bad = to_time(pl.Series([value, None, ""]))

    assert times.to_list() == [None, None, None]
    assert bad.to_list() == [True, False, False]


@pytest.mark.parametrize("column", [pl.Series([True]), pl.Series([time(12)]), pl.Series([float("inf")])], ids=repr)
def test_a_type_that_holds_no_time_is_told(column):
    assert to_time(column)[1].to_list() == [True]


# From the year 1, but for numbers that are days of a spreadsheet or dates such as 20200701.
@given(st.lists(st.integers(-62_135_596_800, 25_568) | st.integers(21_001_232, 10**11 - 1), min_size=1))
def test_seconds_from_numbers_and_text_are_python_s_own_moments(seconds):
    expected = [datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=one) for one in seconds]

    assert to_time(pl.Series(seconds, dtype=pl.Int64))[0].to_list() == expected
    assert to_time(pl.Series([str(one) for one in seconds]))[0].to_list() == expected


@given(st.lists(st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)), min_size=1))
def test_iso_text_gives_back_the_moment_it_was_made_of(moments):
    for separator in "T ":
        assert to_time(pl.Series([one.isoformat(separator) for one in moments]))[0].to_list() == moments
        naive = [one.replace(tzinfo=None).isoformat(separator) for one in moments]
        assert to_time(pl.Series(naive))[0].to_list() == moments


@pytest.mark.parametrize(
    ("column", "numbers"),
    [
        (pl.Series(["4", " 3.5 ", "1e1", "-2"]), [4, 3.5, 10, -2]),
        (pl.Series([4, None]), [4, None]),
        (pl.Series([4.1], dtype=pl.Float32), [4.1]),
        (pl.Series([Decimal("3.50")], dtype=pl.Decimal(5, 2)), [3.5]),
        (pl.Series(["3.5"], dtype=pl.Categorical), [3.5]),
        (pl.Series([True, False]), [1, 0]),
        (pl.Series(["true", "False", ""]), [1, 0, None]),
        (pl.Series([float("nan"), 1.0]), [None, 1]),
        (pl.Series([None, None]), [None, None]),
    ],
    ids=repr,
)
def test_numbers_are_the_same_from_every_type_that_holds_them(column, numbers):
    found, bad = to_number(column)

    assert found.dtype == pl.Float64
    assert found.to_list() == numbers
    assert not bad.any()


@pytest.mark.parametrize(
    "column",
    [
        pl.Series(["four"]),
        pl.Series(["4,5"]),
        pl.Series(["1e400"]),
        pl.Series([float("inf")]),
        pl.Series([date(2024, 1, 1)]),
        pl.Series([datetime(2024, 1, 1)]),
    ],
    ids=repr,
)
def test_what_is_no_finite_number_is_told(column):
    numbers, bad = to_number(column)

    assert numbers.to_list() == [None]
    assert bad.to_list() == [True]


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1))
def test_numbers_from_text_are_the_numbers_themselves(numbers):
    assert to_number(pl.Series([repr(one) for one in numbers]))[0].to_list() == numbers


@given(st.lists(st.floats(0, 100, width=32), min_size=1))
def test_single_precision_gives_the_number_that_text_would_show(numbers):
    stored = pl.Series(numbers, dtype=pl.Float32)

    assert to_number(stored)[0].to_list() == to_number(stored.cast(pl.String))[0].to_list()


@pytest.mark.parametrize(
    "column",
    [
        pl.Series(["Action| Crime |", None, "", "Drama"]),
        pl.Series([["Action", "Crime", ""], None, [], ["Drama"]]),
        pl.Series([["Action", " Crime", None], None, [" "], ["Drama"]]),
        pl.Series(["Action|Crime", None, None, "Drama"], dtype=pl.Categorical),
    ],
    ids=repr,
)
def test_categories_are_the_same_from_text_and_from_lists(column):
    assert to_categories(column, "|").to_list() == [["Action", "Crime"], [], [], ["Drama"]]


def test_categories_may_be_numbers_and_have_any_separator():
    assert to_categories(pl.Series([[1, 2]]), "|").to_list() == [["1", "2"]]
    assert to_categories(pl.Series([[1, 2]], dtype=pl.Array(pl.Int64, 2)), "|").to_list() == [["1", "2"]]
    assert to_categories(pl.Series([7, None]), "|").to_list() == [["7"], []]
    assert to_categories(pl.Series(["a.b", "c"]), ".").to_list() == [["a", "b"], ["c"]]


def test_text_is_what_a_csv_file_would_hold():
    assert to_text(pl.Series([1995, None])).to_list() == ["1995", None]
    assert to_text(pl.Series([date(2024, 1, 2)])).to_list() == ["2024-01-02"]
    assert to_text(pl.Series([" as it is ", "", "  "])).to_list() == [" as it is ", None, None]


@given(st.lists(st.none() | st.text(max_size=4)))
def test_plain_values_stay_the_same_when_made_plain_again(texts):
    once = plain(pl.Series(texts, dtype=pl.String))

    assert plain(once).to_list() == once.to_list()


@pytest.mark.parametrize(
    ("column", "lists", "words"),
    [
        (pl.Series([{"a": 1}]), True, "holds objects, not single values"),
        (pl.Series([["a"]]), False, "holds lists, not single values; a list can be a category"),
        (pl.Series([[["a"]]]), True, "holds values of type List(String), which cannot be read"),
        (pl.Series([[{"a": 1}]]), True, "holds values of type Struct({'a': Int64}), which cannot be read"),
        (pl.Series([timedelta(1)]), True, "holds values of type Duration(time_unit='us'), which cannot be read"),
        (pl.Series([b"\xff"]), False, "holds bytes that are not UTF-8 text"),
        (pl.Series([[b"\xff"]]), True, "holds bytes that are not UTF-8 text"),
        (pl.Series([b"a"]), False, None),
        (pl.Series([["a"]]), True, None),
        (pl.Series(["a"]), False, None),
    ],
    ids=repr,
)
def test_a_type_that_cannot_be_read_is_told_in_words(column, lists, words):
    assert unusable(column, lists) == words
