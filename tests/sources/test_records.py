"""Text files record by record: each record with its line, each broken one with a reason, none lost."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sources.records import (
    CHUNK,
    CODING,
    NO_JSON,
    NO_OBJECT,
    QUOTE,
    Broken,
    count_lines,
    csv_records,
    is_text,
    jsonl_records,
)

FIELDS = st.text(st.characters(codec="utf-8", exclude_characters="\r\0"), max_size=4)
TABLES = st.lists(st.lists(FIELDS, min_size=2, max_size=2), min_size=1, max_size=6)


@given(table=TABLES, end=st.sampled_from(["\n", "\r\n"]))
def test_what_a_csv_writer_wrote_is_read_back_with_the_line_each_record_begins_in(tmp_path_factory, table, end):
    buffer, begins = io.StringIO(newline=""), []
    for row in table:
        begins.append(buffer.getvalue().count("\n") + 1)
        csv.writer(buffer, lineterminator=end).writerow(row)
    path = tmp_path_factory.mktemp("csv") / "a.csv"
    path.write_bytes(buffer.getvalue().encode())

    assert list(csv_records(path)) == list(zip(begins, table, strict=True))


def test_blank_lines_are_no_records_but_count_as_lines(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(b"\r\na,b\r\n\r\n1,2\r\n\r\n")

    assert list(csv_records(path)) == [(2, ["a", "b"]), (4, ["1", "2"])]


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        (b'a,b\n1,"x\n2,y\n3,z\n', [1, 3, 4]),  # never closed
        (b'a,b\n1,"Heat\n2,"Fargo"\n3,z\n', [1, 3, 4]),  # closed by the quote of the next line
        (b'a,b\n1,"y"z\n2,"ok ""so"""\n3,z\n', [1, 3, 4]),  # goes on after its quote
    ],
)
def test_a_quote_that_is_not_closed_costs_only_its_own_line(tmp_path, content, lines):
    path = tmp_path / "a.csv"
    path.write_bytes(content)

    found = list(csv_records(path))

    assert [line for line, fields in found if not isinstance(fields, Broken)] == lines
    assert [(line, fields) for line, fields in found if isinstance(fields, Broken)] == [(2, QUOTE)]


def test_many_quotes_that_are_not_closed_are_read_in_linear_time(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(b'"never closed\n' * 20_000)

    assert sum(isinstance(fields, Broken) for _, fields in csv_records(path)) == 20_000


def test_a_text_longer_than_python_s_own_limit_is_read(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text('a\n"' + "x" * 200_000 + '"\n')

    assert [len(fields[0]) for _, fields in csv_records(path)] == [1, 200_000]


def test_bytes_that_are_no_utf8_can_be_told_from_text(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes("é,日本".encode() + b",\xe9\n")

    ((_, fields),) = csv_records(path)

    assert [is_text(field) for field in fields] == [True, True, False]


def test_every_broken_json_line_is_named_and_the_others_are_read(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"a": 1}\n\n{"a": 2,\n[1]\n{"a": "\xe9"}\r\n  {"a": null}  \n{"a": 3}{"a": 4}')

    assert list(jsonl_records(path)) == [
        (1, {"a": 1}),
        (3, NO_JSON),
        (4, NO_OBJECT),
        (5, CODING),
        (6, {"a": None}),
        (7, NO_JSON),
    ]


def test_json_nested_too_deeply_is_a_broken_line_and_no_crash(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"a":' * 100_000 + b"\n")

    assert list(jsonl_records(path)) == [(1, NO_JSON)]


@given(st.binary(max_size=12).map(lambda some: bytes(b"\n\ra"[byte % 3] for byte in some)))
def test_lines_are_counted_as_by_cutting_the_blank_end_off(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("count") / "a"
    path.write_bytes(content)

    stripped = content.rstrip(b"\r\n")

    assert count_lines(path) == (stripped.count(b"\n") + 1 if stripped else 0)


def test_lines_are_counted_over_the_edge_of_a_chunk(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"x" * (CHUNK - 1) + b"\n" + b"\n" + b"y\n")

    assert count_lines(path) == 3
