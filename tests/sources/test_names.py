"""A user's columns may be called anything: whatever the names, each mapped column gives its own values."""

import csv
import io
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sources.config import parse_source_config
from sources.file_format import FileFormat
from sources.load import load
from sources.look import look

OURS = ["__row", "label", "time", "item", "user", "title", "part", "place", "good", "key", "value", "id", "name", "bad"]
ODD = [
    "🎬",
    "a.b",
    "a",
    "",
    " ",
    "column_1",
    "x (2)",
    'q"q',
    "it's",
    "two\nlines",
    "*",
    "^.*$",
    "^",
    "$",
    "|",
    "a,b",
    "#1",
    "é",
]
NAMES = st.sampled_from([*OURS, *ODD]) | st.text(
    st.characters(codec="utf-8", exclude_characters="\r\0", exclude_categories=["Cs"]), max_size=4
)
COLUMNS = 8


def text_of(names, rows, form):
    if form == "jsonl":
        return "".join(json.dumps(dict(zip(names, row, strict=True))) + "\n" for row in rows)
    text = io.StringIO()
    csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL).writerows([names, *rows])
    return text.getvalue()


def write(path, names, rows, form):
    if form == "parquet":
        pq.write_table(pa.table(dict(zip(names, zip(*rows, strict=True), strict=True))), path)
    else:
        path.write_text(text_of(names, rows, form), encoding="utf-8", newline="")


def mapping(form, of):
    fields = {"texts": {"t": of[4]}, "categories": {"c": of[5]}, "numbers": {"n": of[6]}}
    header = {"header": True, "delimiter": ","} if form == "csv" else {}
    return {
        "events": {"path": "e", "user": of[0], "item": of[1], "time": of[2], "rating": of[3], **header},
        "items": {"path": "i", "id": of[1], "title": of[7], **fields, **header},
        "label": {"rating_at_least": 4},
    }


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
@settings(deadline=None)  # each example writes and reads files
@given(names=st.lists(NAMES, min_size=COLUMNS, max_size=COLUMNS, unique=True))
@example(["__row", "label", "time", "🎬", "a.b", "a", "*", "^.*$"])
@example(["item", "user", "rating", "id", "title", "part", "two\nlines", 'q"q'])
@example(["", "x (2)", "^.$", "column_1", " ", "^a$", "^$", "|"])
def test_columns_of_any_names_give_their_own_values(tmp_path_factory, form, names):
    folder = tmp_path_factory.mktemp("names")
    (folder / "e").mkdir()  # two parts, which are read as one
    write(folder / "e" / "1", names, [["u1", "i1", "2024-01-01", "5", "-", "-", "-", "-"]], form)
    write(folder / "e" / "2", names, [["u2", "i1", "2024-01-02", "1", "-", "-", "-", "-"]], form)
    write(folder / "i", names, [["-", "i1", "-", "-", "a text", "x|y", "7.5", "A title"]], form)
    of = [name or f"column_{place}" for place, name in enumerate(names, 1)] if form == "csv" else names
    if len(set(of)) < COLUMNS:  # the column without a name would be called as another one is
        of = [f"{name} (2)" if not own else name for name, own in zip(of, names, strict=True)]

    data = load(parse_source_config(mapping(form, of), folder / "knowflow.yaml"), folder)

    assert data.events.select("user", "item", "rating").rows() == [("u1", "i1", 5.0), ("u2", "i1", 1.0)]
    assert data.events["time"].dt.day().to_list() == [1, 2]
    assert data.items.rows() == [("i1", "A title", "a text", ["x", "y"], 7.5)]


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
@settings(deadline=None)  # each example writes and reads files
@given(names=st.lists(NAMES, min_size=2, max_size=4, unique=True))
@example(["*", "^.*$", "^.$"])
def test_init_sees_columns_of_any_names(tmp_path_factory, form, names):
    path = tmp_path_factory.mktemp("names") / f"a.{form}"
    write(path, names, [[f"value {place}" for place in range(len(names))]] * 2, form)

    seen = look(path, FileFormat(path=path.name, header=True, delimiter=","))

    values = [column.texts.to_list() for column in seen.columns]
    assert values == [[f"value {place}"] * 2 for place in range(len(names))]
    assert [seen.ids(name) for name in seen.names()] == [{f"value {place}"} for place in range(len(names))]
