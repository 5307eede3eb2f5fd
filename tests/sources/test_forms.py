"""Forms of text: whatever the delimiter, the encoding, the packing and the suffix, the same rows are read."""

import bz2
import csv
import gzip
import io
import json
import lzma
import zipfile

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sources.file_format import FileFormat
from sources.read import read_columns
from sources.sniff import delimiter_of, form_of, is_data, proposed_encoding

ROWS = [("1", "Heat, the film"), ("2", "Alien"), ("3", "Fargo")]
LINES = "a{0}b\n" + "".join(f"{key}{{0}}{title}\n" for key, title in ROWS)


def read(path, content, wanted=("a", "b"), **form):
    path.write_bytes(content)
    return read_columns(path, wanted, path.name, "items", FileFormat(path=path.name, **form))


def zipped(content, *names):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in names:
            archive.writestr(name, content)
    return buffer.getvalue()


def zstd(content):
    return pa.compress(content, codec="zstd", asbytes=True)


PACKERS = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress, "zst": zstd}
PACKERS |= {"zip": lambda content: zipped(content, "inside.csv")}


@pytest.mark.parametrize("suffix", ["csv", "tsv", "dat", "data", "item", "inter", "txt", "part-0"])
@pytest.mark.parametrize("sign", ["\t", ";", "|", "::"])
def test_any_delimiter_is_found_whatever_the_suffix(tmp_path, sign, suffix):
    raw, faults = read(tmp_path / f"a.{suffix}", LINES.format(sign).encode())

    assert faults == []
    assert (raw.table.rows(), raw.rows.to_list(), raw.there) == (ROWS, [2, 3, 4], ("a", "b"))
    assert raw.decimal_comma == (sign == ";")


@pytest.mark.parametrize("kind", PACKERS)
@pytest.mark.parametrize("text", [LINES.format("\t"), "".join(json.dumps({"a": k, "b": t}) + "\n" for k, t in ROWS)])
def test_a_packed_text_is_read_as_the_text_in_it(tmp_path, kind, text):
    raw, faults = (
        read(tmp_path / f"a.jsonl.{kind}", PACKERS[kind](text.encode()))
        if text[0] == "{"
        else read(tmp_path / f"a.tsv.{kind}", PACKERS[kind](text.encode()))
    )

    assert faults == []
    assert raw.table.rows() == ROWS


def test_an_archive_of_several_files_is_told(tmp_path):
    _, (fault,) = read(tmp_path / "a.zip", zipped(b"a,b\n1,2\n", "one.csv", "two.csv"))

    assert fault.what == "the archive holds 2 files"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("sign", [",", "::"])
def test_a_mark_says_the_encoding(tmp_path, encoding, sign):
    mark = b"\xfe\xff" if encoding == "utf-16-be" else b""
    text = mark + f"a{sign}b\n1{sign}Café\n".encode(encoding)

    raw, faults = read(tmp_path / "a.csv", text)

    assert (faults, raw.table.rows()) == ([], [("1", "Café")])


def test_text_that_is_not_utf_8_is_proposed_as_cp1252_and_read_when_that_is_set(tmp_path):
    content = "a;b\n1;Café €\n2;Alien\n".encode("cp1252")
    (tmp_path / "b.csv").write_bytes(content)

    without, _ = read(tmp_path / "a.csv", content)
    raw, faults = read(tmp_path / "a.csv", content, encoding="cp1252")

    assert [(line, why.what, "encoding:" in why.fix) for line, why in without.broken] == [(2, "is not UTF-8", True)]
    assert (faults, raw.table.rows()) == ([], [("1", "Café €"), ("2", "Alien")])
    assert proposed_encoding(tmp_path / "b.csv") == "cp1252"


def test_an_encoding_that_does_not_exist_is_a_fault_that_names_the_setting(tmp_path):
    _, (fault,) = read(tmp_path / "a.csv", b"a,b\n1,2\n", encoding="klingon")

    assert "klingon" in fault.what
    assert "`encoding:`" in fault.fix


@pytest.mark.parametrize("sign", [",", "\t", "|", "::"])
def test_columns_without_names_are_named_by_their_place(tmp_path, sign):
    text = f"1{sign}Heat{sign}1995\n2{sign}Alien{sign}1979\n".encode()

    raw, _ = read(tmp_path / "a.dat", text, ["column_1", "column_2"])
    named, _ = read(tmp_path / "a.dat", text, ["a", "b"], header=False, columns=["a", "b", "c"])

    assert raw.there == ("column_1", "column_2", "column_3")
    assert raw.table.rows() == named.table.rows() == [("1", "Heat"), ("2", "Alien")]
    assert raw.rows.to_list() == [1, 2]


def test_columns_may_be_named_anew_and_each_needs_its_name(tmp_path):
    raw, _ = read(tmp_path / "a.csv", b"x,y\n1,2\n", columns=["a", "b"])
    assert (raw.table.rows(), raw.rows.to_list()) == ([("1", "2")], [2])

    path = tmp_path / "a.csv"
    _, (fault,) = read_columns(path, ["a"], "a.csv", "items", FileFormat(path="a.csv", columns=("a",)))
    assert fault.what == "has 2 columns, and `columns` names 1"


def test_a_headline_that_begins_with_a_quotation_is_read_as_it_is(tmp_path):
    text = 'N1\tnews\t"Wheel of Fortune" guest dies\nN2\tnews\tHe said "no"\n'

    raw, faults = read(tmp_path / "news.tsv", text.encode(), ["column_3"], header=False)

    assert faults == []
    assert raw.table["column_3"].to_list() == ['"Wheel of Fortune" guest dies', 'He said "no"']


def test_book_crossing_s_quotes_with_backslashes_are_read(tmp_path):
    text = r'"a";"b"' + "\n" + r'"1";"The \"Best\" of; all"' + "\n" + '"2";"Plain"\n'

    raw, faults = read(tmp_path / "BX-Books.csv", text.encode())

    assert (faults, raw.broken) == ([], ())
    assert raw.table.rows() == [("1", 'The "Best" of; all'), ("2", "Plain")]


@pytest.mark.parametrize("name", ["a.json", "a.jsonl", "a.txt"])
@pytest.mark.parametrize(
    "text",
    [
        '[{"a": 1, "b": "x"}, {"a": 2, "b": null}]',
        '[\n  {"a": 1,\n   "b": "x"},\n  {"a": 2}\n]\n',
        "{'a': 1, 'b': 'x'}\n{'a': 2, 'b': None}\n",
        "{u'a': 1, u'b': u'x'}\n{'a': 2}\n",
        '{"a": 1, "b": "x"}\n{"a": 2}\n',
    ],
)
def test_records_are_read_however_they_are_written(tmp_path, name, text):
    raw, faults = read(tmp_path / name, text.encode())

    assert (faults, raw.table.rows(), raw.rows.to_list()) == ([], [(1, "x"), (2, None)], [1, 2])


def test_a_python_record_is_never_run(tmp_path):
    raw, _ = read(tmp_path / "a.json", b"{'a': 1, 'b': 'x'}\n{'a': __import__('os').getpid()}\n")

    assert raw.table.rows() == [(1, "x")]
    assert [(line, why.what) for line, why in raw.broken] == [(2, "is not JSON")]


@pytest.mark.parametrize("path", ["parts", "parts/*.csv", "parts/part-?.csv"])
def test_parts_are_one_table_and_a_fault_names_its_part(source, path):
    (source.folder / "parts").mkdir()
    source.write("parts/part-1.csv", "user,item,time,rating\n2,10,soon,4\n")
    source.write("parts/part-0.csv", "user,item,time,rating\n1,9,1700000000,4\n1,10,1700000001,4\n")
    source.write("parts/_SUCCESS", "")

    message = source.message(events={"path": path})
    source.write("parts/part-1.csv", "user,item,time,rating\n2,10,1700000002,4\n")

    assert "line 2  time  'soon'  is not a time (in part-1.csv)" in message
    assert source.load(events={"path": path}).events["user"].to_list() == ["1", "1", "2"]


def test_parts_with_other_columns_are_told(tmp_path):
    for name, column in (("0", "b"), ("1", "c")):
        pl.DataFrame({"a": [1], column: [2]}).write_parquet(tmp_path / f"{name}.parquet")

    _, (fault,) = read_columns(tmp_path, ["a", "b"], "parts", "events")

    assert fault.what == "1.parquet and 0.parquet differ: only one of them has 'b'"


@pytest.mark.parametrize(
    ("first", "others", "data"),
    [
        (["196", "242", "3"], [], True),
        (["N1", "news", "https://x"], [], True),
        (["U1", "11/11/2019 9:05:58 AM", "N1"], [], True),
        (["u1", "i1"], [["u1", "i2"], ["u2", "i1"]], True),
        (["user", "item"], [["u1", "i1"]], False),
        (["user", "item"], [["u1", "i1"], ["user", "item"]], False),
        (["0", "1", "2"], [], False),
        (["", "0", "1"], [], False),
        (["country", "1990", "1991"], [], False),
    ],
)
def test_a_first_line_of_values_is_no_header(first, others, data):
    assert is_data(first, others) == data


CELL = st.text(st.characters(codec="utf-8", exclude_characters='\r\n\0":;\t|,\x1f'), min_size=1, max_size=6)


@settings(deadline=None)
@given(
    sign=st.sampled_from(["\t", ";", "|", "::", ","]),
    table=st.lists(st.tuples(CELL, CELL, CELL), min_size=1, max_size=8),
)
def test_the_delimiter_is_found_and_every_field_is_kept(tmp_path_factory, sign, table):
    path = tmp_path_factory.mktemp("any") / "a.txt"
    text = "".join(sign.join(row) + "\n" for row in [("aa", "bb", "cc"), *table])

    raw, faults = read(path, text.encode(), ["aa", "bb", "cc"])

    assert delimiter_of(text) == form_of(path).delimiter == sign
    assert faults == []
    assert raw.table.rows() == table


@settings(deadline=None)
@given(
    sign=st.sampled_from(["\t", ";", "|", ","]),
    table=st.lists(
        st.tuples(*[st.text(st.characters(codec="utf-8", exclude_characters="\r\0\\"), max_size=5)] * 2), max_size=5
    ),
)
def test_a_file_whose_fields_are_all_quoted_gives_back_what_was_written(tmp_path_factory, sign, table):
    buffer = io.StringIO(newline="")
    csv.writer(buffer, delimiter=sign, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows([("a", "b"), *table, "xy"])

    raw, faults = read(tmp_path_factory.mktemp("any") / "a.csv", buffer.getvalue().encode())

    assert faults == []
    assert raw.table.rows() == [(one or None, other or None) for one, other in [*table, ("x", "y")]]
