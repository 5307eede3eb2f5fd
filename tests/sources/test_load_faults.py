"""Faults of the data: all of them are told at once and without a traceback, or exactly those rows are left out."""

import logging

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sources.faults import KINDS, SHOWN, SourceFaults

BAD_EVENTS = """who,item,when,stars
1,9,1700000000,4
,9,1700000001,4
1,,1700000002,4
1,9,yesterday,4
1,9,1700000003,four
1,9,1700000004,5.5
1,404,1700000005,4
1,9,1700000000,2
2,9,1700000006
2,10,1700000007,3
"""
BAD_ITEMS = """{"id": 9, "title": "Heat", "yeer": 1995}
{"id": 10, "title": "Fargo", "yeer": 1996}
{"id": 9, "title": "Heat", "yeer": 1995}
{"id": null, "title": "Nobody", "yeer": 1990}
{"id": 11, "title": " ", "yeer": 1991}
{"id": 12, "title": "Cut
"""


def test_all_faults_of_all_files_are_told_at_once(source):
    source.write("events.csv", BAD_EVENTS)
    source.write("items.jsonl", BAD_ITEMS)
    source.write("queries.csv", "")

    message = source.message(
        events={"user": "who", "time": "when", "rating": "stars"},
        items={"path": "items.jsonl", "numbers": ["year"]},
        users={"path": "people.csv", "id": "id"},
        queries={"path": "queries.csv", "query": "text"},
        label={"rating_at_least": 4, "rating_range": [0.5, 5]},
    )

    assert message == (
        "events.csv: 7 faults, nothing was read\n"
        "  line 10                      has fewer fields than the header\n"
        "  line 3   who                 is empty\n"
        "  line 4   item                is empty\n"
        "  line 5   when   'yesterday'  is not a time\n"
        "  line 6   stars  'four'       is not a number\n"
        "  line 7   stars  '5.5'        is outside 0.5 to 5\n"
        "  line 8   item   '404'        is not in items.jsonl\n"
        "  fix: write every field, even if empty\n"
        "  fix: fill in the empty values\n"
        "  fix: correct each value that is not a time\n"
        "  fix: correct each value that is not a number\n"
        "  fix: fix the rating, or change label.rating_range\n"
        "  fix: add it to items.jsonl, or drop the row\n"
        "items.jsonl: 5 faults, nothing was read\n"
        "  line 6              is not JSON\n"
        "  line 4  id          is empty\n"
        "  line 3  id     '9'  appears more than once\n"
        "  column  year        is missing; did you mean 'yeer'?\n"
        "  line 5  title  ' '  is empty\n"
        "  fix: write one JSON object per line\n"
        "  fix: fill in the empty values\n"
        "  fix: keep one row per id, or set items.repeated: first to take the first filled value of each field\n"
        "  fix: set the right column in knowflow.yaml under items.numbers\n"
        "people.csv: 1 fault, nothing was read\n"
        "  there is no such file\n"
        "  fix: fix users.path in knowflow.yaml\n"
        "queries.csv: 1 fault, nothing was read\n"
        "  holds no rows\n"
        "  fix: use a file with data"
    )


def test_all_faults_are_told_at_once_of_labels_parquet_and_unreadable_files_too(source):
    events = {"u": ["1", None, "3", "2"], "i": [9, 9, 404, 9], "t": [1, 2, 3, 4], "l": [1, 0, 1, 2], "x": ["a"] * 4}
    source.write("events.parquet", pl.DataFrame(events))
    source.write("users.parquet", b"this is no parquet")
    source.write("queries.csv", b"")

    message = source.message(
        events={"path": "events.parquet", "user": "u", "item": "i", "time": "moment", "rating": None, "label": "l"},
        users={"path": "users.parquet", "id": "id"},
        queries={"path": "queries.csv", "query": "query"},
    )

    assert message == (
        "events.parquet: 4 faults, nothing was read\n"
        "  row 2   u              is empty\n"
        "  column  moment         is missing; there are 'u', 'i', 't', 'l', 'x'\n"
        "  row 4   l       '2'    is neither 0 nor 1\n"
        "  row 3   i       '404'  is not in items.csv\n"
        "  fix: fill in the empty values\n"
        "  fix: set the right column in knowflow.yaml under events.time\n"
        "  fix: use 0 or 1, set the column as events.rating, or list the positive values in label.positive\n"
        "  fix: add it to items.csv, or drop the row\n"
        "users.parquet: 1 fault, nothing was read\n"
        "  cannot be read as Parquet: parquet: File out of specification: The file must end with PAR1 or PARE\n"
        "  fix: fix or replace the file\n"
        "queries.csv: 1 fault, nothing was read\n"
        "  holds no rows\n"
        "  fix: use a file with data"
    )


def test_faults_of_rows_alone_end_with_the_way_to_leave_them_out(source):
    source.write("events.csv", "user,item,time,rating\n1,9,now,4\n")

    assert source.message() == (
        "events.csv: 1 fault, nothing was read\n"
        "  line 2  time  'now'  is not a time\n"
        "  fix: correct each value that is not a time\n"
        "fix the rows, or add to skip in knowflow.yaml to leave them out: bad_values"
    )


def test_an_unknown_user_is_a_fault_when_there_is_a_table_of_users(source):
    source.write("users.csv", "id\n1\n")

    assert "line 4  user  '2'  is not in users.csv" in source.message(users={"path": "users.csv", "id": "id"})


def test_an_unknown_item_of_a_query_is_a_fault(source):
    source.write("queries.csv", "query,item\nfilms,8\n")

    message = source.message(queries={"path": "queries.csv", "query": "query", "item": "item"})

    assert "line 2  item  '8'  is not in items.csv" in message


def test_nothing_is_unknown_when_the_ids_themselves_are_missing(source):
    source.write("items.csv", "key,title\n9,Heat\n")

    assert source.message() == (
        "items.csv: 1 fault, nothing was read\n"
        "  column  id  is missing; there are 'key', 'title'\n"
        "  fix: set the right column in knowflow.yaml under items.id"
    )


def test_lists_where_a_single_value_belongs_are_a_fault(source):
    source.write("items.jsonl", '{"id": 9, "title": ["Heat"]}\n{"id": 10, "title": ["Fargo"]}\n')

    message = source.message(items={"path": "items.jsonl"})

    assert "column  title  holds lists, not single values; a list can be a category" in message


def test_a_file_in_a_folder_is_named_with_its_folder(source):
    (source.folder / "raw").mkdir()
    source.write("raw/events.csv", "user,item,time,rating\n1,9,now,4\n")

    assert source.message(events={"path": "raw/events.csv"}).startswith("raw/events.csv: 1 fault")


def test_a_table_of_a_hundred_columns_is_told_in_one_short_line(source):
    source.write("events.csv", ",".join(f"column{number}" for number in range(100)) + "\n" + "," * 99 + "\n")

    line = next(line for line in source.message().splitlines() if " rating " in line)

    assert line.endswith("'column8', 'column9' and 90 more")


def test_forty_thousand_faults_of_two_kinds_are_still_a_short_message(source):
    lines = "".join(f"{row},1,{row},bad\n" for row in range(20_000))
    source.write("events.csv", "user,item,time,rating\n" + lines)

    message = source.message().splitlines()

    assert message[0] == "events.csv: 40,000 faults, nothing was read"
    assert message.count(f"  ... and {20_000 - SHOWN:,} more like it") == 2
    assert len(message) == 1 + 2 * (SHOWN + 1) + 3


def test_skipping_leaves_out_exactly_the_rows_with_faults(source, caplog):
    source.write("events.csv", BAD_EVENTS)
    source.write("items.jsonl", BAD_ITEMS.replace("yeer", "year"))

    with caplog.at_level(logging.WARNING, logger="sources"):
        dataset = source.load(
            skip=KINDS,
            events={"user": "who", "time": "when", "rating": "stars"},
            items={"path": "items.jsonl", "numbers": ["year"]},
            label={"rating_at_least": 4, "rating_range": [0.5, 5]},
        )

    # Of BAD_EVENTS the first and the last line are good; of the two lines of user 1, item 9, 1700000000 the first stays.
    assert dataset.events.select("user", "item", "rating", "position").rows() == [
        ("1", "9", 4.0, 0),
        ("2", "10", 3.0, 0),
    ]
    assert dataset.items.rows() == [("9", "Heat", 1995.0), ("10", "Fargo", 1996.0)]
    assert caplog.messages == [
        "events.csv: 1 row with the user, item and time of another row; of each only one is kept",
        "events.csv: left out 7 rows with faults: 1 unknown_items, 5 bad_values, 1 broken_lines",
        "items.jsonl: left out 4 rows with faults: 1 duplicates, 2 bad_values, 1 broken_lines",
    ]


def test_skipping_an_item_leaves_its_events_and_queries_out_too(source, caplog):
    source.write("items.csv", "id,title,year\n9,Heat,soon\n10,Fargo,1996\n")
    source.write("queries.csv", "query,item\nfirst,9\nsecond,10\nthird,\n")

    with caplog.at_level(logging.WARNING, logger="sources"):
        dataset = source.load(
            skip=KINDS,
            items={"numbers": ["year"]},
            queries={"path": "queries.csv", "query": "query", "item": "item"},
        )

    assert dataset.queries is not None
    assert dataset.items["item"].to_list() == ["10"]
    assert dataset.events["item"].to_list() == ["10", "10"]
    assert dataset.queries["query"].to_list() == ["second", "third"]
    assert caplog.messages == [
        "events.csv: left out 1 row whose item was left out of items.csv",
        "items.csv: left out 1 row with faults: 1 bad_values",
        "queries.csv: left out 1 row whose item was left out of items.csv",
    ]


def test_skipping_a_user_leaves_their_events_out_too(source):
    source.write("users.csv", "id,age\n1,old\n2,40\n")

    dataset = source.load(skip=KINDS, users={"path": "users.csv", "id": "id", "numbers": ["age"]})

    assert dataset.events.select("user", "item").rows() == [("2", "10")]


def test_skipping_changes_nothing_when_nothing_is_wrong(source, caplog):
    source.check_same(source.load(skip=KINDS), source.load())
    assert caplog.messages == []


def test_skipping_does_not_help_with_a_missing_column(source):
    source.write("events.csv", "user,item,rating\n,9,4\n1,9,4\n")

    with pytest.raises(SourceFaults, match="column  time"):
        source.load(skip=KINDS)


@pytest.mark.parametrize("name", ["events.csv", "items.csv"])
def test_skipping_every_row_is_a_fault(source, name):
    header = (source.folder / name).read_text().splitlines()[0]
    source.write(name, header + "\n" + "," * header.count(",") + "\n")

    with pytest.raises(SourceFaults, match="every row has a fault, none is left"):
        source.load(skip=KINDS)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(bad=st.lists(st.sampled_from(["", "user", "item", "time", "rating"]), min_size=2, max_size=12))
def test_skipping_gives_what_a_file_without_the_bad_rows_gives(source, bad):
    rows = [{"user": "1", "item": "9", "time": str(row), "rating": "4"} for row in range(len(bad))]
    wrong = {"user": "", "item": "404", "time": "x", "rating": "x"}
    marked = [{**row, fault: wrong[fault]} if fault else row for row, fault in zip(rows, bad, strict=True)]
    good = [row for row, fault in zip(rows, bad, strict=True) if not fault]
    header = "user,item,time,rating\n"
    source.write("marked.csv", header + "".join(",".join(row.values()) + "\n" for row in marked))
    source.write("good.csv", header + "".join(",".join(row.values()) + "\n" for row in good))

    if good:
        skipped = source.load(skip=KINDS, events={"path": "marked.csv"})
        source.check_same(skipped, source.load(events={"path": "good.csv"}))
    if any(bad):
        with pytest.raises(SourceFaults) as caught:
            source.load(events={"path": "marked.csv"})
        assert sorted(fault.row for fault in caught.value.faults) == [row + 2 for row, fault in enumerate(bad) if fault]


@pytest.mark.parametrize("kind", KINDS)
def test_only_rows_with_faults_of_the_skipped_kinds_are_left_out_and_all_others_stop(source, kind, caplog):
    source.write("users.csv", "id\n1\n2\n")
    source.write("items.csv", "id,title\n9,Heat\n10,Fargo\n9,Again\n")
    wrong = {"unknown_items": "1,8,7,4", "unknown_users": "3,9,7,4", "bad_values": "1,9,7,x", "broken_lines": "1,9"}
    source.write("events.csv", "\n".join(["user,item,time,rating", "1,10,7,4", *wrong.values(), ""]))
    users = {"path": "users.csv", "id": "id"}

    with pytest.raises(SourceFaults) as caught:
        source.load(skip=[kind], users=users)
    others = [one for one in KINDS if one != kind]

    assert sorted(fault.kind for fault in caught.value.faults) == sorted(others)
    assert str(caught.value).endswith(f"to leave them out: {', '.join(others)}")
    assert len(source.load(skip=KINDS, users=users).events) == 1
    assert caplog.messages == [
        "events.csv: left out 4 rows with faults: 1 unknown_items, 1 unknown_users, 1 bad_values, 1 broken_lines",
        "items.csv: left out 1 row with faults: 1 duplicates",
    ]
