"""Impressions: several items with their labels in one cell."""

import logging
import time

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sources.faults import KINDS
from sources.impressions import item_and_label, one_row_each
from sources.raw import Raw

HEAD = "user,time,item\n"
OF_EVENTS = {"rating": None, "impressions": {}}
RULE = {"rating_at_least": None}
ITEMS = "id,title\n9,Heat\n10,Fargo\n11,Alien\n"


def test_each_item_of_a_cell_is_an_event_of_the_user_and_moment_of_its_row(source):
    source.write("items.csv", ITEMS)
    source.write("events.csv", HEAD + "1,1700000000,9-1 10-0\n2,1700000060,11-0  9-1 10-0 \n")

    dataset = source.load(events=OF_EVENTS, label=RULE)

    events = dataset.events.select("user", "item", pl.col("time").dt.epoch("s"), "label", "rating", "session")
    assert events.rows() == [
        ("1", "9", 1700000000, 1, None, "0"),
        ("1", "10", 1700000000, 0, None, "0"),
        ("2", "9", 1700000060, 1, None, "1"),
        ("2", "10", 1700000060, 0, None, "1"),
        ("2", "11", 1700000060, 0, None, "1"),
    ]


def test_the_signs_are_those_of_the_settings_and_the_last_one_divides(source):
    source.write("items.csv", "id,title\na|b,Heat\nc,Fargo\n")
    source.write("events.csv", 'user,time,item\n1,1700000000,"a|b|1;c|0"\n')

    events = source.load(events={**OF_EVENTS, "impressions": {"separator": ";", "label": "|"}}, label=RULE).events

    assert events.select("item", "label").rows() == [("a|b", 1), ("c", 0)]


def test_faults_name_the_line_of_the_file(source):
    source.write("items.csv", ITEMS)
    source.write("events.csv", HEAD + "1,1700000000,9-1 10-0\n2,1700000060,9-2 10-1 10\n2,1700000070,\n1,x,9-0 12-1\n")

    lines = source.message(events=OF_EVENTS, label=RULE).splitlines()

    told = {" ".join(line.split()) for line in lines}
    assert "line 3 item '9-2' does not end in -0 or -1" in told
    assert "line 3 item '10' does not end in -0 or -1" in told
    assert "line 4 item is empty" in told
    assert "line 5 item '12-1' is not in items.csv" in told
    assert "line 5 time 'x' is not a time" in told
    assert not any("10-1" in line or "line 2" in line for line in lines)


def test_an_unknown_item_leaves_the_others_of_its_cell(source, caplog):
    source.write("items.csv", ITEMS)
    source.write("events.csv", HEAD + "1,1700000000,9-1 12-0 10-0\n")

    with caplog.at_level(logging.WARNING, logger="sources"):
        events = source.load(skip=KINDS, events=OF_EVENTS, label=RULE).events

    assert events["item"].to_list() == ["9", "10"]
    assert "left out 1 row with faults" in caplog.text


@pytest.mark.parametrize("by", ["user_position", "global_time"])
def test_a_cell_is_in_one_part_even_if_each_event_is_split_by_itself(source, by):
    source.write("items.csv", ITEMS)
    source.write("events.csv", HEAD + "".join(f"1,{1700000000 + row},9-1 10-0 11-0\n" for row in range(5)))

    split = {"by": by, "train": 0.5, "validation": 0.2, "together": "event"}
    events = source.load(events=OF_EVENTS, label=RULE, split=split).events

    # Of 15 events in 5 cells the first 7 train and 3 validate by the shares: the 3rd and the 4th cell are cut, and go on.
    assert events["part"].to_list() == [*["train"] * 6, *["validation"] * 3, *["test"] * 6]


def test_a_column_of_sessions_joins_cells(source):
    source.write("items.csv", ITEMS)
    rows = "1,1700000000,9-1 10-0,s\n1,1700000001,11-1,t\n1,1700000002,9-0,t\n"
    source.write("events.csv", "user,time,item,visit\n" + rows)

    events = source.load(events={**OF_EVENTS, "session": "visit"}, label=RULE, split={"train": 0.7}).events

    assert events.select("session", "part").rows() == [("s", "train"), ("s", "train"), ("t", "test"), ("t", "test")]


def test_parts_of_a_folder_keep_their_names_in_faults(source):
    source.write("items.csv", ITEMS)
    (source.folder / "logs").mkdir()
    source.write("logs/a.csv", HEAD + "1,1700000000,9-1 10-0 11-0\n")
    source.write("logs/b.csv", HEAD + "1,1700000001,9-1\n1,1700000002,9-x 10-0\n")

    message = source.message(events={**OF_EVENTS, "path": "logs"}, label=RULE)

    assert "does not end in -0 or -1 (in b.csv)" in message
    assert "line 3" in message


def test_lists_of_a_parquet_file_are_impressions_too(source):
    source.write("items.csv", ITEMS)
    table = pl.DataFrame({"user": [1, 2], "time": [1700000000, 1700000060], "item": [["9-1", "10-0"], ["11-1"]]})
    source.write("events.parquet", table)

    events = source.load(events={**OF_EVENTS, "path": "events.parquet"}, label=RULE).events

    assert events.select("item", "label").rows() == [("9", 1), ("10", 0), ("11", 1)]


@given(st.lists(st.tuples(st.text("ab-1 ", min_size=1), st.sampled_from("01"))))
def test_what_is_joined_by_signs_is_read_back(pairs):
    shown = pl.Series([f"{item}-{label}" for item, label in pairs], dtype=pl.String)

    item, label = item_and_label(shown, "-")

    assert list(zip(item, label, strict=True)) == [(item, float(label)) for item, label in pairs]


def test_a_hundred_thousand_impressions_are_read_in_seconds():
    cells = pl.Series([" ".join(f"N{row % 977 + place}-{place % 2}" for place in range(30)) for row in range(100_000)])
    raw = Raw(cells.alias("item").to_frame(), pl.int_range(100_000, eager=True), ("item",))
    begin = time.process_time()

    made, cell = one_row_each(raw, "item", " ")
    item, label = item_and_label(made.table["item"], "-")

    assert time.process_time() - begin < 30  # far less on an idle machine; a loop over rows takes minutes
    assert (len(item), label.sum(), cell[-1], item[-1]) == (3_000_000, 1_500_000, 99_999, f"N{99_999 % 977 + 29}")
