"""Reading files: only the mapped columns, every value with its row, and a word for everything that can be wrong."""

import json
from datetime import date
from decimal import Decimal

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sources.read import read_columns

TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\r\0"), max_size=4)


def read(path, content, columns=("a", "b")):
    path.write_bytes(content)
    return read_columns(path, columns, path.name, "items")


def rows(raw):
    kept = [raw.table[name].to_list() for name in ("a", "b") if name in raw.table.columns]
    return list(zip(raw.rows, *kept, strict=True))


def broken(raw):
    return [(line, why.what) for line, why in raw.broken]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"a,b\n1,x\n2,y\n", [(2, "1", "x"), (3, "2", "y")]),
        (b"\xef\xbb\xbfa,b\n1,x\n2,y\n", [(2, "1", "x"), (3, "2", "y")]),
        (b"a,b\r\n1,x\r\n2,y\r\n", [(2, "1", "x"), (3, "2", "y")]),
        (b"a,b\r1,x\r2,y\r", [(2, "1", "x"), (3, "2", "y")]),
        (b"a,b\n1,x\n2,y", [(2, "1", "x"), (3, "2", "y")]),
        (b"a,b\n1,x\n2,y\n\n\n", [(2, "1", "x"), (3, "2", "y")]),
        (b"\n\na,b\n1,x\n\n2,y\n", [(4, "1", "x"), (6, "2", "y")]),
        (b'"a","b"\n"1","x, ""y"""\n2,y\n', [(2, "1", 'x, "y"'), (3, "2", "y")]),
        (b'a,b\n1,"x\ny"\n2,""\n3,z\n', [(2, "1", "x\ny"), (4, "2", None), (5, "3", "z")]),
        (b'a,b\r\n1,"x\r\ny"\r\n2,z\r\n', [(2, "1", "x\r\ny"), (4, "2", "z")]),
        (b'a,b\n1,5" x\n2,6" y\n', [(2, "1", '5" x'), (3, "2", '6" y')]),
        (b'a,b,"c\nd"\n1,x,\n', [(3, "1", "x")]),
        (b"c,b,a\n,x,1\n", [(2, "1", "x")]),
    ],
)
def test_every_usual_way_to_write_csv_is_read_with_the_line_of_each_row(tmp_path, content, expected):
    raw, faults = read(tmp_path / "a.csv", content)

    assert faults == []
    assert rows(raw) == expected
    assert raw.broken == ()


@pytest.mark.parametrize(
    ("content", "expected", "told"),
    [
        (b"a,b\n1,x,z\n2,y\n", [(3, "2", "y")], [(2, "has more fields than the header")]),
        (b"a,b\n1\n2,y\n", [(3, "2", "y")], [(2, "has fewer fields than the header")]),
        (b'a,b\n1,"x\n2,y\n', [(3, "2", "y")], [(2, "has a quote that is not closed correctly")]),
        ("a,b\n1,é\n2,y\n".encode("latin-1"), [(3, "2", "y")], [(2, "is not UTF-8")]),
    ],
)
def test_a_broken_csv_line_is_named_and_the_others_are_read(tmp_path, content, expected, told):
    raw, faults = read(tmp_path / "a.csv", content)

    assert faults == []
    assert rows(raw) == expected
    assert broken(raw) == told


def test_a_broken_line_is_found_though_only_the_first_column_is_mapped(tmp_path):
    raw, _ = read(tmp_path / "a.csv", b"a,b\n1,Heat, the film\n2,y\n", ["a"])

    assert broken(raw) == [(2, "has more fields than the header")]


def test_bytes_of_a_column_that_is_not_mapped_do_not_matter(tmp_path):
    raw, faults = read(tmp_path / "a.csv", "a,b,é\n1,x,é\n".encode("latin-1"))

    assert (rows(raw), broken(raw), faults) == ([(2, "1", "x")], [], [])


def test_a_header_may_be_longer_than_a_line(tmp_path):
    raw, _ = read(tmp_path / "a.csv", b'"a\nname"\n1\n', ["a\nname"])

    assert (raw.rows.to_list(), raw.table.rows()) == ([3], [("1",)])


@pytest.mark.parametrize("slow", [b"", b"1\n"])
@pytest.mark.parametrize(
    ("header", "names"),
    [
        (b"a,b,a", ("a", "b", "a (2)")),
        (b"a,,a", ("a", "column_2", "a (2)")),
        (b"a,a,a (2)", ("a", "a (3)", "a (2)")),
        (b"column_3,b,", ("column_3", "b", "column_3 (2)")),
        (b",,", ("column_1", "column_2", "column_3")),
    ],
)
def test_names_that_stand_twice_or_are_empty_are_mapped_by_new_names(tmp_path, header, names, slow):
    raw, faults = read(tmp_path / "a.csv", header + b"\n1,x,2\n" + slow, names)

    assert (raw.there, faults, raw.spoiled) == (names, [], {})
    assert raw.table.select(names).rows() == [("1", "x", "2")]


@given(table=st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=6))
def test_a_csv_file_read_at_once_and_read_by_record_gives_the_same(tmp_path_factory, table):
    folder = tmp_path_factory.mktemp("csv")
    frame = pl.DataFrame(table, schema={"a": pl.String, "b": pl.String}, orient="row")
    content = frame.write_csv(quote_style="always").encode()

    at_once, _ = read(folder / "a.csv", content)
    by_record, _ = read(folder / "b.csv", content + b'"a blank line and a quote make it slow\n')

    kept = [(first or None, second or None) for first, second in table]
    assert [row[1:] for row in rows(at_once)] == [row[1:] for row in rows(by_record)] == kept
    assert [row[0] for row in rows(at_once)] == [row[0] for row in rows(by_record)]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b'{"a": 1, "b": "x"}\n{"a": 2}\n', [(1, 1, "x"), (2, 2, None)]),
        (b'\xef\xbb\xbf{"a": 1, "b": "x"}\r\n\r\n{"a": 2}', [(1, 1, "x"), (3, 2, None)]),
        (b'{"b": "[REC]", "a": 1}\n{"a": null}\n', [(1, 1, "[REC]"), (2, None, None)]),
        (b'{"a": 1, "b": "x"}\n{"a": 2.5, "b": 7}\n', [(1, 1.0, "x"), (2, 2.5, "7")]),
        (b'{"a": true, "b": "x"}\n{"a": 1, "b": "y"}\n', [(1, "true", "x"), (2, "1", "y")]),
        (b'{"a": ["x", null], "b": ""}\n\n{"a": []}\n', [(1, ["x", None], ""), (3, [], None)]),
        (b'{"a": 1, "b": true, "c": true}\n{"a": 2, "b": false, "c": 1}\n', [(1, 1, True), (2, 2, False)]),
    ],
)
def test_every_usual_way_to_write_jsonl_is_read_with_the_line_of_each_row(tmp_path, content, expected):
    raw, faults = read(tmp_path / "a.jsonl", content)

    assert faults == []
    assert rows(raw) == expected
    assert raw.broken == ()


def test_a_broken_json_line_is_named_and_the_others_are_read(tmp_path):
    raw, _ = read(tmp_path / "a.jsonl", b'{"a": 1, "b": "x"}\n{"a": 2,\n{"a": 3, "b": "z"}\n')

    assert rows(raw) == [(1, 1, "x"), (3, 3, "z")]
    assert broken(raw) == [(2, "is not JSON")]


@pytest.mark.parametrize(
    "values", [["x|y", ["z"]], [1, [2]], [{"x": 1}, "s"], [[{"x": 1}], ["s"]], [{"x": 1}, None, [1]]]
)
def test_a_column_that_mixes_lists_objects_and_single_values_cannot_be_read(tmp_path, values):
    content = "".join(json.dumps({"a": value, "b": "s"}) + "\n" for value in values)

    raw, faults = read(tmp_path / "a.jsonl", content.encode())

    assert faults == []
    assert raw.spoiled == {"a": "holds objects, or lists in some lines and single values in others"}


VALUES = st.none() | st.integers(-(2**40), 2**40) | st.floats(allow_nan=False, allow_infinity=False) | st.booleans()


@given(values=st.lists(VALUES | st.text(st.characters(codec="utf-8"), max_size=3), min_size=1, max_size=5))
def test_json_values_keep_their_meaning_whatever_stands_beside_them(tmp_path_factory, values):
    path = tmp_path_factory.mktemp("jsonl") / "a.jsonl"

    raw, faults = read(path, "".join(json.dumps({"a": one}) + "\n" for one in values).encode(), ["a"])

    assert faults == []
    for found, value in zip(raw.table["a"], values, strict=True):
        same_text = isinstance(found, str) and found == (value if isinstance(value, str) else json.dumps(value))
        assert found == value or same_text or float(found) == value


@pytest.mark.parametrize(
    ("name", "content", "what"),
    [
        ("a.xlsx", b"a,b\n", "'.xlsx' is not a supported file type"),
        ("a.txt", b"a,b\n", "holds no rows"),
        ("a.csv", b"", "holds no rows"),
        ("a.csv", b"\n\n", "holds no rows"),
        ("a.csv", b"a,b\n", "holds no rows"),
        ("a.csv", b"a,b", "holds no rows"),
        ("a.jsonl", b"", "holds no rows"),
        ("a.jsonl", b"\n", "holds no rows"),
        ("a.parquet", b"", "holds no rows"),
        ("a.csv", "a,b\n1,x\n".encode("utf-16-le"), "is not UTF-8"),
        ("a.csv", b'"a,b\n1,x\n', "has a quote that is not closed correctly"),
        ("a.parquet", b"no parquet at all", "cannot be read as Parquet: parquet: File out of specification"),
        ("a.jsonl", b'{"a": "\\ud800", "b": 1}\n{"a": 1, "b": [1]}\n', "cannot be read as JSONL: 'utf-8' codec"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_fault_of_the_whole_file(tmp_path, name, content, what):
    raw, (fault,) = read(tmp_path / name, content)

    assert raw is None
    assert (fault.file, fault.row, fault.column) == (name, None, None)
    assert fault.what.startswith(what)


def test_a_parquet_file_damaged_in_its_middle_is_a_fault(tmp_path):
    path = tmp_path / "a.parquet"
    pl.DataFrame({"a": range(1000), "b": range(1000)}).write_parquet(path)
    content = bytearray(path.read_bytes())
    content[20:200] = b"\xff" * 180

    raw, (fault,) = read(path, bytes(content))

    assert raw is None
    assert fault.what.startswith("cannot be read as Parquet")


def test_a_missing_file_and_a_folder_are_told_with_the_setting(tmp_path):
    (tmp_path / "folder.csv").mkdir()

    for name in ("none.csv", "folder.csv"):
        raw, (fault,) = read_columns(tmp_path / name, ["a"], name, "items")
        assert raw is None
        assert (fault.what, fault.fix) == ("there is no such file", "fix items.path in knowflow.yaml")


@pytest.mark.parametrize("name", ["a[1].csv", "a*.csv", "a?.csv", "a[1].CSV"])
def test_signs_of_a_pattern_in_a_file_name_mean_themselves(tmp_path, name):
    raw, faults = read(tmp_path / name, b"a,b\n1,x\n")

    assert (rows(raw), faults) == ([(2, "1", "x")], [])


@pytest.mark.parametrize("name", ["a[1].jsonl", "a*.ndjson"])
def test_signs_of_a_pattern_in_a_jsonl_name_mean_themselves(tmp_path, name):
    raw, faults = read(tmp_path / name, b'{"a": 1, "b": "x"}\n')

    assert (rows(raw), faults) == ([(1, 1, "x")], [])


def test_parquet_columns_of_any_type_are_read_with_the_number_of_their_row(tmp_path):
    path = tmp_path / "a[1].parquet"
    values = [Decimal("4.5"), None]
    pl.DataFrame({"a": values, "b": [date(2024, 1, 1), None], "c": [[1], [2]]}).write_parquet(path)

    raw, faults = read_columns(path, ["a", "b"], path.name, "items")

    assert faults == []
    assert raw.table.rows() == [(Decimal("4.5"), date(2024, 1, 1)), (None, None)]
    assert raw.rows.to_list() == [1, 2]


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.parquet"])
def test_only_the_mapped_columns_are_kept_each_once_and_all_names_are_known(tmp_path, name):
    path = tmp_path / name
    frame = pl.DataFrame({"a": ["1"], "b": ["x"], "c": ["7"]})
    {".csv": frame.write_csv, ".jsonl": frame.write_ndjson, ".parquet": frame.write_parquet}[path.suffix](path)

    raw, _ = read_columns(path, ["b", "a", "b", "missing"], name, "items")

    assert set(raw.table.columns) == {"a", "b"}
    assert raw.there == ("a", "b", "c")


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.parquet", "slow.csv", "slow.jsonl"])
@pytest.mark.parametrize("column", ["__row", "rows", "row", "index", "0", "1", "literal", "*", "^.*$", ""])
def test_a_column_of_any_name_is_the_users_and_never_one_of_ours(tmp_path, name, column):
    path = tmp_path / name
    frame = pl.DataFrame({"a": ["x", "y"], column: ["one", "two"]})
    {".csv": frame.write_csv, ".jsonl": frame.write_ndjson, ".parquet": frame.write_parquet}[path.suffix](path)
    if name.startswith("slow"):  # a broken line at the end: the file is read record by record
        path.write_bytes(path.read_bytes() + (b"x,y,z\n" if path.suffix == ".csv" else b"no json\n"))

    column = column or ("column_2" if path.suffix == ".csv" else "")
    raw, faults = read_columns(path, ["a", column], name, "items")

    assert faults == []
    assert list(zip(raw.table["a"], raw.table[column], strict=True)) == [("x", "one"), ("y", "two")]
    assert raw.rows.to_list() == ([2, 3] if path.suffix == ".csv" else [1, 2])
