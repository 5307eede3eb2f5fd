"""Files of rows: ids stay as they are written, names that occur twice are refused, all faults of paths come at once."""

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from app.row_files import READERS, check_files, read_rows, write_rows
from base.faults import WrongUse


@pytest.mark.parametrize("kind", READERS)
def test_rows_come_back_as_they_were_written(tmp_path, kind):
    rows = pl.DataFrame({"user": ["007", "u,1"], "item": ["é", None]})

    write_rows(rows, tmp_path / f"rows{kind}")

    assert read_rows(tmp_path / f"rows{kind}").equals(rows)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("rows.csv", "user,user,item\nu1,u2,i1\n"),
        ("rows.csv", '\ufeff"user",item,"user"\n'),
        ("rows.jsonl", '{"user": "u1", "item": "i1"}\n\n{"user": "u1", "user": "u2", "item": "i1"}\n'),
    ],
)
def test_names_that_occur_twice_are_refused_in_text(tmp_path, name, content):
    (tmp_path / name).write_text(content, encoding="utf-8")

    with pytest.raises(WrongUse, match=r"user'? +\(?(2 times\)|is there several times)"):
        read_rows(tmp_path / name)


def test_names_that_occur_twice_are_refused_in_parquet(tmp_path):
    pq.write_table(pa.table([["u1"], ["u2"]], names=["user", "user"]), tmp_path / "rows.parquet")

    with pytest.raises(WrongUse, match=r"rows.parquet: columns share a name: 'user' \(2 times\)\n  rename them"):
        read_rows(tmp_path / "rows.parquet")


def test_the_line_of_a_key_that_is_there_twice_is_named(tmp_path):
    (tmp_path / "rows.jsonl").write_text('{"user": 1}\n{"a": {"b": 1, "b": 2}, "user": 1}\n', encoding="utf-8")

    with pytest.raises(WrongUse, match="line 2  b  is there several times"):
        read_rows(tmp_path / "rows.jsonl")


@pytest.mark.parametrize(("name", "content"), [("rows.csv", ""), ("rows.jsonl", "{"), ("rows.parquet", "no")])
def test_broken_files_are_named(tmp_path, name, content):
    (tmp_path / name).write_text(content, encoding="utf-8")

    with pytest.raises(WrongUse, match=f"{name}: cannot be read: .+\n  write the file again"):
        read_rows(tmp_path / name)


def test_all_that_is_wrong_with_paths_is_said_at_once(tmp_path):
    (tmp_path / "f.schema.json").mkdir()
    (tmp_path / "f.tables").touch()
    (tmp_path / "f.txt").touch()
    beside = {tmp_path / "f.schema.json": "file", tmp_path / "f.tables": "folder"}

    with pytest.raises(WrongUse) as told:
        check_files(tmp_path / "none.csv", tmp_path / "f.txt", "f.parquet", READERS, beside)

    said = str(told.value)
    assert "none.csv: there is no such file" in said
    assert "f.txt: rows are read and written as .parquet, .csv, .jsonl" in said
    assert "f.schema.json, to be written beside it, is not a file" in said
    assert "f.tables, to be written beside it, is not a folder" in said


def test_an_output_that_is_a_folder_or_the_rows_or_lies_nowhere_is_refused(tmp_path):
    rows = tmp_path / "rows.csv"
    rows.touch()
    (tmp_path / "link.csv").symlink_to(rows)

    for out, what in (
        (tmp_path, f"give a file in it: {tmp_path / 'scores.parquet'}"),
        (rows, "is the file of the rows"),
        (tmp_path / "link.csv", "is the file of the rows"),
        (tmp_path / "none" / "scores.csv", "there is no folder"),
    ):
        with pytest.raises(WrongUse, match=what):
            check_files(rows, out, "scores.parquet", READERS)
    check_files(rows, tmp_path / "scores.csv", "scores.parquet", READERS)
