"""Fields inside objects are columns, named by their path, in every format that can hold objects."""

import io
import json

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sources.look import look
from sources.nested import paths
from sources.read import read_columns

RECORDS = [
    {
        "id": 1,
        "brand": {"name": "Acme", "land": {"code": "DE"}},
        "images": [{"large": "a.jpg", "sizes": [1, 2]}, {"large": "b.jpg", "sizes": []}],
    },
    {"id": 2, "brand": {"name": None, "land": {"code": "FR"}}, "images": []},
    {"id": 3, "brand": None, "images": None},
]
LEAVES = ("id", "brand.name", "brand.land.code", "images.large", "images.sizes")
FORMS = ("a.jsonl", "slow.jsonl", "array.json", "records.json", "a.parquet")


def write(path, records):
    lines = [json.dumps(one) + "\n" for one in records]
    if path.name == "a.parquet":
        pl.DataFrame(records, infer_schema_length=None).write_parquet(path)
    elif path.name == "array.json":
        path.write_text(json.dumps(records))
    elif path.name == "records.json":
        path.write_text("".join(f"{one!r}\n" for one in records))
    else:  # a broken line at the end: the file is read record by record
        path.write_text("".join([*lines, "no json\n"] if path.name.startswith("slow") else lines))
    return path


def read(path, *columns):
    raw, faults = read_columns(path, columns, path.name, "items")
    assert faults == []
    return raw


@pytest.mark.parametrize("name", FORMS)
def test_fields_of_objects_are_read_by_their_path(tmp_path, name):
    raw = read(write(tmp_path / name, RECORDS), "brand.name", "brand.land.code", "images.large")

    assert raw.there == LEAVES
    assert raw.table["brand.name"].to_list() == ["Acme", None, None]
    assert raw.table["brand.land.code"].to_list() == ["DE", "FR", None]
    assert raw.table["images.large"].to_list() == [["a.jpg", "b.jpg"], [], None]


@pytest.mark.parametrize("name", FORMS)
def test_lists_in_lists_become_one_list(tmp_path, name):
    records = [{"images": [{"sizes": [1, 2]}, {"sizes": [3]}]}, {"images": [{"sizes": [4]}]}]

    raw = read(write(tmp_path / name, records), "images.sizes")

    assert raw.table["images.sizes"].cast(pl.List(pl.String)).to_list() == [["1", "2", "3"], ["4"]]


@pytest.mark.parametrize("name", FORMS)
def test_a_column_of_that_very_name_goes_before_a_field(tmp_path, name):
    records = [{"brand.name": "own", "brand": {"name": "inner"}}, {"brand.name": "too", "brand": {"name": "x"}}]

    raw = read(write(tmp_path / name, records), "brand.name")

    assert raw.table["brand.name"].to_list() == ["own", "too"]
    assert raw.there == ("brand.name",)


@pytest.mark.parametrize("name", FORMS)
def test_a_field_that_is_not_there_is_missing_and_not_empty(tmp_path, name):
    raw = read(write(tmp_path / name, RECORDS), "id", "brand.gone", "id.name", "images.large.width")

    assert raw.table.columns == ["id"]
    assert raw.there == LEAVES


def test_objects_beside_texts_are_still_read_by_their_path(tmp_path):
    raw = read(write(tmp_path / "a.jsonl", [{"brand": "Acme"}, {"brand": {"name": "Bolt"}}]), "brand.name")

    assert raw.table["brand.name"].to_list() == [None, "Bolt"]
    assert raw.there == ("brand", "brand.name")


@pytest.mark.parametrize("name", ["a.jsonl", "slow.jsonl", "a.parquet"])
def test_an_object_with_many_keys_is_no_set_of_columns_but_its_keys_can_be_named(tmp_path, name):
    records = [{"id": 1, "details": {f"key {number}": str(number) for number in range(51)}}]

    raw = read(write(tmp_path / name, records), "details.key 7")

    assert raw.there == ("id", "details", "details.key 7")
    assert raw.table["details.key 7"].to_list() == ["7"]


@pytest.mark.parametrize("name", FORMS)
def test_what_init_sees_are_the_paths_and_their_values(tmp_path, name):
    seen = look(write(tmp_path / name, RECORDS))

    assert seen.names() == list(LEAVES)
    assert seen.column("brand.name").filled.to_list() == ["Acme"]
    assert seen.column("images.large").is_list


def test_what_init_sees_of_names_that_stand_twice_are_the_new_names(tmp_path):
    (tmp_path / "a.csv").write_text("tag,,tag\nx,y,z\nu,v,w\n")

    seen = look(tmp_path / "a.csv")

    assert seen.names() == ["tag", "column_2", "tag (2)"]
    assert seen.column("tag (2)").filled.to_list() == ["z", "w"]


KEYS = st.text(st.sampled_from(["a", "b", ".", "*", "^", "$", "🎬", "\n", " "]), max_size=3)
LEAF = st.text("xyz", min_size=1, max_size=2)


@settings(deadline=None)  # each example writes and reads files
@given(st.dictionaries(KEYS, st.dictionaries(KEYS, LEAF, min_size=1, max_size=3), min_size=1, max_size=3))
def test_the_path_of_every_field_gives_its_value_at_once_and_by_record(tmp_path_factory, record):
    folder = tmp_path_factory.mktemp("nested")
    expected = {}  # of two ways to read a path the one with the longer first name, before both a column of that name
    for name in sorted(record, key=lambda one: one.count(".")):
        expected |= {f"{name}.{key}": value for key, value in record[name].items()}

    expected = {path: value for path, value in expected.items() if path not in record}

    for form in ("a.jsonl", "slow.jsonl"):
        raw = read(write(folder / form, [record]), *expected)

        assert set(raw.there) >= set(expected)
        read_values = {path: raw.column(path).to_list() for path in expected}
        assert read_values == {path: [value] for path, value in expected.items()}


def test_names_of_a_schema_are_in_the_order_of_the_file():
    frame = pl.read_json(io.StringIO(json.dumps(RECORDS)))

    assert paths(frame.schema) == LEAVES
