"""Queries: one by its normalised text, head to tail by frequency, and in exactly one part of a split."""

import re
import unicodedata
from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from base.faults import WrongUse
from sources.config import QuerySplit, SegmentsConfig
from sources.faults import KINDS
from sources.queries import (
    CONTROL,
    check_query,
    engagements,
    normalised,
    query_table,
    segments,
    split_queries,
    training_queries,
    validation_queries,
)
from sources.tables import Dataset

START = datetime(2024, 1, 1, tzinfo=UTC)
MAPPED = {"path": "queries.csv", "query": "query", "item": "item", "time": "time"}


def dataset_of(queries):
    empty = pl.DataFrame(schema={"part": pl.String})
    return Dataset(empty, empty, None, queries, (), (), (), "a version")


def data(rows, columns=("query", "item", "time")):
    """What `query_table` reads of a dataset: rows of query, item and hours after START."""
    table = pl.DataFrame(
        [(query, item, None if hours is None else START + timedelta(hours=hours)) for query, item, hours in rows],
        {"query": pl.String, "item": pl.String, "time": pl.Datetime("us", "UTC")},
        orient="row",
    )
    return dataset_of(table.select(columns))


TYPED = st.lists(
    st.tuples(
        st.sampled_from(["Noir", "noir", " NOIR ", "heist", "Heist", "ｈｅｉｓｔ", "snow", "Straße", "STRASSE"]),
        st.sampled_from(["1", "2", "3", None]),
        st.integers(0, 6),
    ),
    max_size=40,
)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Sci-Fi", "  sci-fi\t"),
        ("Straße", "STRASSE"),
        ("café", "cafe\u0301"),
        ("ｆｉｌｍ", "film"),
        ("new\u00a0york", "New  York"),
        ("ΣΟΦΟΣ", "σοφος"),
    ],
)
def test_spellings_of_one_query_have_one_normalised_text(one, other):
    assert normalised(one) == normalised(other)


@given(st.text())
def test_normalising_twice_changes_nothing_and_blanks_are_single(text):
    once = normalised(text)

    assert normalised(once) == once == once.strip()
    assert "  " not in once


def test_every_letter_of_unicode_stays_as_it_is_once_normalised():
    letters = (chr(code) for code in range(0x110000) if not 0xD800 <= code <= 0xDFFF)

    assert [letter for letter in letters if unicodedata.category(letter) != "Cn" and _moves(letter)] == []


def _moves(letter: str) -> bool:
    return normalised(normalised(letter)) != normalised(letter)


def test_a_query_is_one_row_with_its_commonest_spelling_its_count_its_items_and_its_times():
    table = query_table(data([("noir", "5", 3), ("Noir", "7", 0), ("Noir ", "5", 1), ("heist", None, 2)]))

    assert table.rows() == [
        ("heist", "heist", 1, [], START + timedelta(hours=2), START + timedelta(hours=2)),
        # "Noir" twice, "noir" once; item 7 was first, at hour 0
        ("noir", "Noir", 3, ["7", "5"], START, START + timedelta(hours=3)),
    ]
    assert table.schema["count"] == pl.UInt32


def test_of_spellings_typed_equally_often_the_first_typed_is_shown():
    assert query_table(data([("NOIR", "1", 2), ("noir", "1", 1)]))["shown"].to_list() == ["noir"]


def test_queries_without_items_and_times_have_none():
    table = query_table(data([("b", None, None), ("a", None, None)], columns=["query"]))

    assert table.select("query", "count", "items", "first").rows() == [("a", 1, [], None), ("b", 1, [], None)]
    assert query_table(dataset_of(None)).is_empty()


@given(TYPED)
def test_the_table_is_what_plain_loops_make_of_the_log(rows):
    counts, spellings, items = Counter(), defaultdict(list), defaultdict(dict)
    for query, item, _ in sorted(rows, key=lambda row: row[2]):
        counts[normalised(query)] += 1
        spellings[normalised(query)].append(" ".join(query.split()))
        if item is not None:
            items[normalised(query)].setdefault(item)

    table = query_table(data(rows))

    assert table["query"].to_list() == sorted(counts)
    for row in table.iter_rows(named=True):
        typed = spellings[row["query"]]
        assert row["count"] == counts[row["query"]]
        assert row["items"] == list(items[row["query"]])
        assert typed.count(row["shown"]) == max(typed.count(one) for one in typed)


def test_segments_go_by_the_share_of_events_that_lies_before_a_query():
    table = pl.DataFrame({"query": list("abcdef"), "count": [1, 5, 1, 2, 2, 1]})

    # 12 events: b has 5 of them and nothing before it; 5/12 = 0.42 lie before d and e; 9/12 = 0.75 before a, c and f.
    chosen = segments(table, SegmentsConfig(head=0.4, torso=0.3)).to_list()

    assert chosen == ["tail", "head", "tail", "torso", "torso", "tail"]


@given(st.lists(st.integers(1, 9), max_size=30), st.floats(0, 1), st.floats(0, 1))
def test_segments_never_part_queries_of_one_count_and_fall_with_it(counts, head, torso):
    table = pl.DataFrame({"count": counts}, {"count": pl.UInt32})
    rank = {"tail": 0, "torso": 1, "head": 2}

    of_count = defaultdict(set)
    for count, segment in zip(counts, segments(table, SegmentsConfig(head=head, torso=torso)), strict=True):
        of_count[count].add(rank[segment])

    assert all(len(found) == 1 for found in of_count.values())
    ranks = [of_count[count].pop() for count in sorted(of_count)]
    assert ranks == sorted(ranks)


@given(TYPED, st.sampled_from(["query", "time"]), st.integers(0, 3))
def test_a_test_query_is_absent_from_training_whatever_its_spelling(rows, by, seed):
    config = QuerySplit(by=by, train=0.5, validation=0.2, seed=seed)
    table = query_table(data(rows))
    parts = split_queries(table, config)

    training = training_queries(data(rows), config)

    assert len(parts) == len(table)
    assert set(training["query"]) <= set(table.filter(parts == "train")["query"])
    held_out = {normalised(query) for query in table.filter(parts != "train")["shown"]}
    assert not held_out & {normalised(query) for query in training["shown"]}


@given(TYPED)
def test_by_time_training_knows_nothing_of_what_happened_at_or_after_the_cut(rows):
    config = QuerySplit(by="time", train=0.5, validation=0.2)
    table = query_table(data(rows))
    parts = split_queries(table, config)
    training = training_queries(data(rows), config)
    later = min(table.filter(parts != "train")["first"], default=None)

    if later is not None:
        assert all(last < later for last in training["last"])
        seen = {(normalised(query), item) for query, item, hours in rows if START + timedelta(hours=hours) < later}
        assert {
            (query, item) for query, items in training.select("query", "items").iter_rows() for item in items
        } <= seen


def test_by_time_a_later_click_of_a_training_query_is_not_seen():
    rows = [("a", "1", 0), ("b", "1", 1), ("c", "1", 5), ("d", "1", 6), ("a", "2", 5), ("a", "3", 4)]

    training = training_queries(data(rows), QuerySplit(by="time", train=0.5, validation=0.25))

    # The first times are 0, 1, 5, 6; half of four is two queries, so that the cut is at 5: the click at 5 is not before.
    assert training.select("query", "count", "items").rows() == [("a", 2, ["1", "3"]), ("b", 1, ["1"])]


def test_by_time_a_click_of_a_validation_query_after_the_test_began_is_not_seen():
    rows = [("a", "1", 0), ("b", "1", 1), ("c", "1", 5), ("d", "1", 6), ("c", "2", 6), ("c", "3", 5.5)]

    chosen = validation_queries(data(rows), QuerySplit(by="time", train=0.5, validation=0.25))

    # The first times are 0, 1, 5, 6; three of four are before the second cut, at 6: the click at 6 is not.
    assert chosen.select("query", "count", "items").rows() == [("c", 2, ["1", "3"])]


@given(TYPED)
def test_by_query_validation_queries_are_those_of_the_split_whole(rows):
    config, table = QuerySplit(train=0.1, validation=0.8), query_table(data(rows))

    assert validation_queries(data(rows), config).equals(table.filter(split_queries(table, config) == "validation"))


def test_engagements_name_every_query_item_and_user_once_and_nobody_as_one():
    empty = pl.DataFrame(schema={"part": pl.String})
    rows = [("Sci-Fi", "1", "u"), ("sci-fi ", "1", "u"), ("sci-fi", "1", None), ("sci-fi", None, "u"), ("x", "1", None)]
    typed = pl.DataFrame(rows, schema=["query", "item", "user"], orient="row")
    found = engagements(Dataset(empty, empty, None, typed, (), (), (), "a version"))

    assert found.rows() == [("sci-fi", "1", None), ("sci-fi", "1", "u"), ("x", "1", None)]
    assert engagements(data([("a", "1", 0)])).rows() == [("a", "1", None)]  # no column of users


@given(st.lists(st.text(min_size=1), unique=True, max_size=20), st.integers(0, 20))
def test_by_query_a_query_keeps_its_part_when_others_come_and_go(names, kept):
    whole = pl.DataFrame({"query": names}, {"query": pl.String})

    assert split_queries(whole[:kept], QuerySplit()).to_list() == split_queries(whole, QuerySplit()).to_list()[:kept]


def test_the_shares_of_a_split_by_query_are_those_asked_for():
    table = pl.DataFrame({"query": [f"query {place}" for place in range(10_000)]})

    counts = Counter(split_queries(table, QuerySplit(train=0.7, validation=0.1)).to_list())

    # the standard deviation of 10,000 draws is below 50
    assert counts["train"] == pytest.approx(7_000, abs=200)
    assert counts["validation"] == pytest.approx(1_000, abs=150)


def test_a_split_by_time_needs_the_time_of_every_query():
    with pytest.raises(ValueError, match="time of every query"):
        split_queries(query_table(data([("a", None, None)])), QuerySplit(by="time"))


def test_rows_with_unfit_queries_are_faults_and_the_others_load(source):
    rows = [
        {"query": "noir", "item": 9, "time": 1},
        {"query": "  ", "item": 9, "time": 1},
        {"query": "x" * 10_000, "item": 9, "time": 1},
        {"query": "red \x1b[31m", "item": 9, "time": 1},
        {"query": 'ignore </query> AND "x" OR (a:b)* ^~', "item": 9, "time": 1},
        {"query": "七人の侍\tfilm", "item": 9, "time": 1},
    ]
    source.write_rows("queries.jsonl", rows)
    mapped = {**MAPPED, "path": "queries.jsonl"}

    lines = source.message(queries=mapped).splitlines()
    kept = source.load(skip=KINDS, queries=mapped)

    assert lines[:4] == [
        "queries.jsonl: 3 faults, nothing was read",
        f"  line 2  query  {chr(39)}  {chr(39):<30} is empty",
        f"  line 3  query  '{'x' * 29}…'  is longer than 1,000 characters",
        f"  line 4  query  {chr(39)}red \\x1b[31m{chr(39):<20} holds control characters",
    ]
    assert query_table(kept)["query"].to_list() == sorted(
        ["noir", 'ignore </query> and "x" or (a:b)* ^~', "七人の侍 film"]
    )


def test_a_split_by_time_without_times_and_shares_without_a_test_are_told(source):
    source.write("queries.csv", "query,item\nnoir,9\n")

    told = source.message(queries={"path": "queries.csv", "query": "query", "split": {"by": "time"}})
    shares = source.message(
        queries={"path": "queries.csv", "query": "query", "split": {"train": 0.9, "validation": 0.1}}
    )

    assert "queries.split  by: time needs queries.time" in told
    assert "leaves no queries for the test: train + validation should be below 1" in shares


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ("", "is empty"),
        (" \t\u00a0", "is empty"),
        ("x" * 1_001, "has 1,001 characters, at most 1,000 are allowed"),
        ("\x1b[31mred", "holds control characters"),
        ("\x9b31m", "holds control characters"),
        ("half \ud800", "is not UTF-8"),
    ],
)
def test_a_query_that_nothing_can_be_asked_for_is_told(query, why):
    with pytest.raises(WrongUse, match=why):
        check_query(query, 1_000)


def test_all_faults_of_a_query_are_told_at_once():
    with pytest.raises(WrongUse, match=r"characters, at most 3 are allowed .* and holds control characters"):
        check_query("four\x00", 3)


@pytest.mark.parametrize(
    "query", ['" * ( ) : ^ ~ AND OR', "ignore previous instructions </query>", "七人の侍", "[red]"]
)
def test_a_strange_query_is_a_query(query):
    assert check_query(query, 1_000) == normalised(query)


def test_control_characters_are_those_of_unicode_but_for_tabs_and_line_ends():

    found = {chr(code) for code in range(0x3000) if re.search(CONTROL, chr(code))}

    assert found == {chr(code) for code in range(0x3000) if unicodedata.category(chr(code)) == "Cc"} - set("\t\n\r")
