"""Loading: three file formats, one dataset, one version."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.config import load_config
from sources.columns import MARKS
from sources.config import SplitConfig
from sources.events import split
from sources.load import load
from sources.tables import content_hash

MOMENT = datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)  # 1,700,000,000 seconds after 1970
FIELDS = {"texts": ["plot"], "categories": ["genres"], "numbers": ["year", "adult"]}


def write_everywhere(source, name, frame):
    """The same rows as Parquet, CSV and JSONL, each as its users write it: CSV has no lists, JSONL no dates."""
    flat = frame.with_columns(pl.col(pl.List(pl.String)).list.join("|"))
    source.write(f"{name}.parquet", frame)
    source.write(f"{name}.csv", flat.write_csv())
    source.write(f"{name}.jsonl", frame.write_ndjson())


def load_from(source, suffix, **sections):
    merged = {name: {"path": f"{name}.{suffix}", **sections.get(name, {})} for name in ("events", "items")}
    return source.load(**{**sections, **merged})


def test_the_documented_tables_are_as_documented(source):
    dataset = source.load()

    # 9 sorts before 10, though "10" < "9" as text; the label is 1 from a rating of 4 on.
    assert dataset.events.schema == {
        "user": pl.String,
        "item": pl.String,
        "time": pl.Datetime("us", "UTC"),
        "rating": pl.Float32,
        "label": pl.Float32,
        "position": pl.UInt32,
        "part": pl.String,
    }
    assert dataset.events.drop("time").rows() == [
        ("1", "10", 4.0, 1.0, 0, "train"),
        ("2", "10", 5.0, 1.0, 0, "test"),
        ("1", "9", 3.5, 0.0, 1, "test"),
    ]
    assert dataset.items.rows() == [("9", "Heat"), ("10", "Fargo")]
    assert (dataset.users, dataset.queries) == (None, None)
    assert (dataset.text_fields, dataset.category_fields, dataset.number_fields) == ((), (), ())


def test_every_event_carries_the_part_that_the_split_of_the_settings_gives_it_and_the_version_is_of_the_content(source):
    default, other = source.load(), source.load(split={"by": "global_time", "train": 0.4, "validation": 0.3})

    # The moment at place int(3 * 0.4) = 1 of all times begins validation, that at int(3 * 0.7) = 2 begins test.
    assert other.events["part"].to_list() == ["validation", "validation", "test"]
    assert default.events["part"].to_list() == split(default.events, SplitConfig()).to_list()
    content = [default.events.drop("part"), default.items, None, None]
    assert default.version == other.version == content_hash(content)


def test_events_without_their_part_are_no_dataset(source):
    dataset = source.load()

    with pytest.raises(ValueError, match="the events have no column part"):
        replace(dataset, events=dataset.events.drop("part"))


def test_the_same_content_from_parquet_csv_and_jsonl_is_the_same_dataset_and_version(source):
    events = {
        "user": [7, 12, 7],
        "item": [10, 9, 9],
        "time": [MOMENT, MOMENT, MOMENT.replace(second=21, microsecond=5)],
        "rating": pl.Series([4.1, 0.5, 5.0], dtype=pl.Float32),
    }
    items = {
        "id": [10, 9, 7],
        "title": ["Fargo, the film", 'The "Heat"', "Élan\nvital"],
        "genres": [["Crime", "Drama"], [], None],
        "year": pl.Series([1996, None, 2000], dtype=pl.Int32),
        "adult": [True, False, None],
        "plot": ["A car salesman…", None, ""],
    }
    write_everywhere(source, "events", pl.DataFrame(events))
    write_everywhere(source, "items", pl.DataFrame(items))

    parquet, csv, jsonl = (
        load_from(source, suffix, items=FIELDS, label={"rating_at_least": 4.1})
        for suffix in ("parquet", "csv", "jsonl")
    )

    source.check_same(parquet, csv)
    source.check_same(parquet, jsonl)
    assert parquet.events["label"].to_list() == [0.0, 1.0, 1.0]
    assert parquet.items.rows() == [
        ("7", "Élan\nvital", None, [], 2000.0, None),
        ("9", 'The "Heat"', None, [], None, 0.0),
        ("10", "Fargo, the film", "A car salesman…", ["Crime", "Drama"], 1996.0, 1.0),
    ]


def test_database_types_give_the_same_as_plain_ones(source):
    plain = {"user": [7, 12], "item": [9, 10], "time": [MOMENT, MOMENT], "rating": [4.5, 3.0]}
    typed = pl.DataFrame(
        {
            "user": pl.Series([Decimal(7), Decimal(12)], dtype=pl.Decimal(38, 0)),
            "item": pl.Series(["9", "10"], dtype=pl.Categorical),
            "time": pl.Series([MOMENT, MOMENT]).cast(pl.Datetime("ns", "Asia/Kolkata")),
            "rating": pl.Series([Decimal("4.50"), Decimal("3.00")], dtype=pl.Decimal(10, 2)),
        }
    )
    source.write("plain.parquet", pl.DataFrame(plain))
    source.write("typed.parquet", typed)

    source.check_same(source.load(events={"path": "plain.parquet"}), source.load(events={"path": "typed.parquet"}))


KEYS = st.one_of(st.integers(0, 20).map(str), st.sampled_from(["007", "a", "A b", "é", "1.5", "x,y", 'q"q']))
WORDS = st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "Zs"]), min_size=1, max_size=6)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_any_content_is_the_same_from_every_format_and_in_every_order_of_rows(source, data):
    ids = data.draw(st.lists(KEYS, min_size=1, max_size=4, unique=True))
    titles = data.draw(
        st.lists(WORDS.filter(lambda word: word.strip() not in ("", *MARKS)), min_size=len(ids), max_size=len(ids))
    )
    ratings, seconds = st.integers(1, 10).map(lambda half: half / 2), st.integers(1, 3).map(lambda n: 10**9 + n)
    event = st.tuples(st.sampled_from(["1", "u"]), st.sampled_from(ids), seconds, ratings)
    log = data.draw(st.lists(event, min_size=1, max_size=6, unique_by=lambda row: row[:3]))
    names = ["user", "item", "time", "rating"]
    write_everywhere(source, "events", pl.DataFrame(log, schema=names, orient="row"))
    write_everywhere(source, "items", pl.DataFrame({"id": ids, "title": titles}))
    source.write("other.csv", pl.DataFrame(data.draw(st.permutations(log)), schema=names, orient="row").write_csv())

    parquet, csv, jsonl = (load_from(source, suffix) for suffix in ("parquet", "csv", "jsonl"))

    source.check_same(parquet, csv)
    source.check_same(parquet, jsonl)
    source.check_same(csv, load_from(source, "csv", events={"path": "other.csv"}))
    assert parquet.events["position"].to_list() == [
        sum(other == user for other in parquet.events["user"][:row]) for row, user in enumerate(parquet.events["user"])
    ]


@pytest.mark.parametrize(
    ("at_least", "labels"), [(4, [0, 0, 1, 1, 1]), (3.5, [0, 1, 1, 1, 1]), (3.6, [0, 0, 1, 1, 1]), (5.1, [0] * 5)]
)
def test_a_label_is_one_from_the_named_rating_on_half_stars_included(source, at_least, labels):
    lines = [f"1,9,{second},{rating}" for second, rating in enumerate([3, 3.5, 4, 4.5, 5])]
    source.write("events.csv", "user,item,time,rating\n" + "\n".join(lines))

    dataset = source.load(label={"rating_at_least": at_least})

    assert dataset.events["label"].to_list() == labels


def test_a_rating_range_holds_its_two_ends(source):
    source.write("events.csv", "user,item,time,rating\n1,9,1,0.5\n1,9,2,5\n")

    dataset = source.load(label={"rating_at_least": 5, "rating_range": [0.5, 5]})

    assert dataset.events["label"].to_list() == [0.0, 1.0]


@pytest.mark.parametrize("written", [["0", "1"], ["0.0", "1.0"], ["false", "true"], ["False", "True"]])
def test_a_label_may_be_written_as_a_number_or_a_truth_value(source, written):
    source.write("events.csv", f"user,item,time,seen\n1,9,1,{written[0]}\n1,9,2,{written[1]}\n")

    dataset = source.load(events={"rating": None, "label": "seen"})

    assert dataset.events["label"].to_list() == [0.0, 1.0]
    assert dataset.events["rating"].to_list() == [None, None]


def test_users_and_queries_are_read_and_ids_are_the_same_text_in_every_table(source):
    source.write("users.jsonl", '{"id": 2.0, "age": 40, "job": "writer"}\n{"id": 1.0, "age": null, "job": ""}\n')
    source.write("queries.csv", "text,who,what,when\nfilms like heat,2,9,2024-01-01\nanything,,,\n")

    dataset = source.load(
        users={"path": "users.jsonl", "id": "id", "numbers": ["age"], "texts": {"works_as": "job"}},
        queries={"path": "queries.csv", "query": "text", "user": "who", "item": "what", "time": "when"},
    )

    assert dataset.users is not None
    assert dataset.queries is not None
    assert dataset.users.rows() == [("1", None, None), ("2", "writer", 40.0)]
    assert dataset.queries.rows() == [
        ("films like heat", "2", "9", datetime(2024, 1, 1, tzinfo=UTC)),
        ("anything", None, None, None),
    ]


def test_a_column_may_be_mapped_to_several_fields(source):
    source.write("items.csv", "id,title\n9,Heat\n10,Fargo\n")

    dataset = source.load(
        items={"texts": {"name": "title", "code": "id"}, "numbers": {"place": "id"}, "categories": {"c": "id"}}
    )

    assert dataset.items.rows() == [
        ("9", "Heat", "Heat", "9", ["9"], 9.0),
        ("10", "Fargo", "Fargo", "10", ["10"], 10.0),
    ]


def test_columns_that_are_not_mapped_may_hold_anything(source):
    frame = pl.read_csv(source.folder / "items.csv")
    source.write("items.parquet", frame.with_columns(pl.Series("x", [{"a": 1}, None]), pl.Series("y", [b"\xff", b""])))

    source.check_same(source.load(items={"path": "items.parquet"}), source.load())


def test_the_example_loads_with_all_its_events_and_films():
    config = load_config(Path(__file__).parents[2] / "examples" / "movielens" / "knowflow.yaml")

    dataset = load(config.source, config.folder)

    assert (len(dataset.events), dataset.events["user"].n_unique(), len(dataset.items)) == (100_836, 610, 9_742)
    assert round(dataset.events["label"].to_numpy().mean(), 3) == 0.482  # at least 4; "> 3" would be 0.612
