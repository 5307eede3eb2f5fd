"""Guesses: a name decides first, then the values; every guess says why, and what it could have been as well."""

from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sources.faults import SourceFaults
from sources.guess import TableGuess, guess_tables, guess_target, guess_time, guess_title
from sources.look import Look, look

EVENTS = {
    "user_id": [1, 1, 2, 2, 3, 3],
    "item_id": ["a", "b", "a", "c", "b", "c"],
    "timestamp": [1_500_000_000 + n for n in range(6)],
    "rating": [4.0, 5.0, 1.0, 2.5, 3.0, 4.0],
}
ITEMS = {"item_id": ["a", "b", "c"], "title": ["Heat", "Fargo", "Alien"]}
FORMATS = ["parquet", "csv", "jsonl"]


def write(folder: Path, name: str, columns: dict) -> Look:
    frame, path = pl.DataFrame(columns), folder / name
    {".parquet": frame.write_parquet, ".csv": frame.write_csv, ".jsonl": frame.write_ndjson}[path.suffix](path)
    return look(path)


def renamed(columns: dict, **names: str) -> dict:
    return {names.get(name, name): values for name, values in columns.items()}


def chosen(table: TableGuess) -> dict[str, str | None]:
    return {guess.setting: guess.column for guess in table.guesses}


def guess_items(folder: Path, extra: dict, suffix: str = "parquet") -> TableGuess:
    items = write(folder, f"items.{suffix}", ITEMS | extra)
    return guess_tables(write(folder, f"events.{suffix}", EVENTS), items)[1]


def fields(table: TableGuess) -> dict[str, str]:
    return {g.column: g.setting for g in table.guesses if g.column and g.setting in ("texts", "categories", "numbers")}


@pytest.mark.parametrize("suffix", FORMATS)
def test_the_usual_names_are_found_in_every_format(tmp_path, suffix):
    events, items = write(tmp_path, f"e.{suffix}", EVENTS), write(tmp_path, f"i.{suffix}", ITEMS)

    of_events, of_items = guess_tables(events, items)

    assert chosen(of_events) == {"user": "user_id", "item": "item_id", "time": "timestamp", "rating": "rating"}
    assert chosen(of_items) == {"id": "item_id", "title": "title"}
    assert {guess.why for guess in (*of_events.guesses, *of_items.guesses)} == {"its name"}


@pytest.mark.parametrize("name", ["user_id", "userId", "uid", "customer_id", "reviewerID", "User-ID", "user_id:token"])
def test_a_user_is_known_by_its_name(tmp_path, name):
    events = write(tmp_path, "e.csv", renamed(EVENTS, user_id=name))

    assert guess_tables(events, write(tmp_path, "i.csv", ITEMS))[0].of("user")[0].column == name


@pytest.mark.parametrize(
    "name", ["item_id", "movieId", "asin", "product_id", "sku", "article_id", "ISBN", "parent_asin"]
)
def test_an_item_is_known_by_its_name_in_both_files(tmp_path, name):
    of_events, of_items = guess_tables(
        write(tmp_path, "e.csv", renamed(EVENTS, item_id=name)), write(tmp_path, "i.csv", renamed(ITEMS, item_id=name))
    )

    assert (of_events.of("item")[0].column, of_items.of("id")[0].column) == (name, name)


@pytest.mark.parametrize("name", ["timestamp", "ts", "time", "date", "unixReviewTime", "created_at"])
def test_a_time_is_known_by_its_name(tmp_path, name):
    events = write(tmp_path, "e.csv", renamed(EVENTS, timestamp=name))

    assert guess_time(events).column == name


@pytest.mark.parametrize(
    ("name", "values", "setting"),
    [
        *((name, [1, 2, 3, 4, 5, 5], "rating") for name in ("rating", "stars", "score", "overall", "Book-Rating")),
        *((name, [0, 1, 1, 0, 1, 0], "label") for name in ("label", "click", "clicked", "purchase", "rating")),
        ("label", [1, 2, 3, 4, 5, 5], "rating"),
        ("click", [True, False, True, True, False, True], "label"),
    ],
)
def test_a_target_is_a_label_when_it_is_0_or_1_and_else_a_rating(tmp_path, name, values, setting):
    guess = guess_target(write(tmp_path, "e.csv", {"user_id": EVENTS["user_id"], name: values}), ["user_id"])

    assert (guess.setting, guess.column, guess.why) == (setting, name, "its name")


def test_a_rating_goes_before_a_label_and_names_it(tmp_path):
    guess = guess_target(write(tmp_path, "e.csv", {"clicked": [0, 1, 1], "stars": [1, 5, 3], "score": [7, 8, 9]}))

    assert (guess.setting, guess.column, guess.others) == ("rating", "stars", ("score", "clicked"))


def test_a_label_that_is_always_the_same_is_taken_with_a_warning(tmp_path):
    guess = guess_target(write(tmp_path, "e.csv", {"purchase": [1, 1, 1]}))

    assert (guess.column, guess.why) == ("purchase", "its name, though all values are the same")


@pytest.mark.parametrize("suffix", FORMATS)
def test_without_names_the_values_decide(tmp_path, suffix):
    events = write(
        tmp_path,
        f"e.{suffix}",
        {
            "c1": [f"u{n % 6}" for n in range(60)],
            "c2": [f"x{n % 11}" for n in range(60)],
            "c3": [f"2020-01-{n % 28 + 1:02d} 10:00:{n:02d}" for n in range(60)],
            "c4": [n * n % 3 % 2 for n in range(60)],
        },
    )
    items = write(
        tmp_path, f"i.{suffix}", {"k": [f"x{n}" for n in range(11)], "b": [f"Film no. {n}" for n in range(11)]}
    )

    of_events, of_items = guess_tables(events, items)

    assert {guess.setting: (guess.column, guess.why) for guess in of_events.guesses} == {
        "user": ("c1", "its values: ids that repeat"),
        "item": ("c2", f"its values: 100% are ids of i.{suffix}"),
        "time": ("c3", "its values: times from 2020 to 2020"),
        "label": ("c4", "its values: each is 0 or 1"),
    }
    assert {guess.setting: (guess.column, guess.why) for guess in of_items.guesses} == {
        "id": ("k", f"its values: 100% of a column of e.{suffix} are found here"),
        "title": ("b", "its values: short texts that hardly repeat"),
    }


def test_of_two_ids_the_one_that_the_other_file_uses_is_taken_and_the_other_is_named(tmp_path):
    events = write(tmp_path, "e.csv", EVENTS | {"asin": list("pqrstu")})
    items = write(tmp_path, "i.csv", {"asin": ["x", "y", "z"], **ITEMS})

    of_events, of_items = guess_tables(events, items)

    assert (of_events.of("item")[0].column, of_events.of("item")[0].others) == ("item_id", ("asin",))
    assert (of_items.of("id")[0].column, of_items.of("id")[0].others) == ("item_id", ("asin",))


def test_a_name_gives_way_to_the_column_whose_values_are_the_ids(tmp_path):
    # 'product' holds names, 'ref' the ids: 3 of its 3 different values are ids.
    events = write(tmp_path, "e.csv", renamed(EVENTS, item_id="ref") | {"product": list("pqrstu")})

    item = guess_tables(events, write(tmp_path, "i.csv", ITEMS))[0].of("item")[0]

    assert (item.column, item.why, item.others) == ("ref", "its values: 100% are ids of i.csv", ("product",))


def test_ids_that_are_not_in_the_items_are_told(tmp_path):
    # 1 of the 3 different items of the events, 'c', is missing: 33.3%.
    items = write(tmp_path, "i.csv", {"item_id": ["a", "b"], "title": ["Heat", "Fargo"]})

    item = guess_tables(write(tmp_path, "e.csv", EVENTS), items)[0].of("item")[0]

    assert item.why == "its name, though 33.3% are not in i.csv"


def test_what_is_not_there_is_not_guessed(tmp_path):
    events, items = write(tmp_path, "e.csv", {"note": ["x", "x", "y"]}), write(tmp_path, "i.csv", {"size": [1.5, 1.5]})

    of_events, of_items = guess_tables(events, items)

    assert chosen(of_events) | {"user": None} == {"user": None, "item": None, "time": None, "label": None}
    assert (of_items.of("id")[0].column, of_items.of("title")[0].column) == (None, None)
    assert of_events.of("time")[0].why.startswith("the column of the time, or {by: row_order}")


def test_numbers_that_would_be_times_before_1980_are_doubted(tmp_path):
    guess = guess_time(write(tmp_path, "e.csv", {"date": [200001, 200002]}))

    assert guess.why == "its name, though read as times its values are from 1970 to 1970"
    assert guess_time(write(tmp_path, "e.csv", {"date": [20200101, 20200102]})).why == "its name"


def test_a_time_that_does_not_parse_is_not_taken(tmp_path):
    guess = guess_time(write(tmp_path, "e.csv", {"reviewTime": ["soon"], "day": ["2011-05-01"]}))
    none = guess_time(write(tmp_path, "e.csv", {"date": ["soon"]}))

    assert (guess.column, guess.others) == ("day", ())
    assert "date looks like one, but its values are in no known form" in none.why


def test_a_title_goes_before_a_name_and_both_are_shown(tmp_path):
    guess = guess_title(write(tmp_path, "i.csv", {"brand_name": ["A"], "name": ["B"], "Movie Title": ["C"]}))

    assert (guess.column, guess.others) == ("name", ("Movie Title",))


@pytest.mark.parametrize("sign", ["|", ";", ","])
def test_a_text_of_many_short_parts_is_a_category_with_its_separator(tmp_path, sign):
    kinds = [sign.join(parts) for parts in (("red", "blue"), ("blue", "green"), ("green", "red"))]

    found = guess_items(tmp_path, {"kinds": kinds}, "csv")

    assert (fields(found), found.separator) == ({"kinds": "categories"}, sign)
    assert found.of("categories")[0].why == f"its values: short parts, split at '{sign}'"


def test_a_brand_with_a_comma_and_a_sentence_are_not_split(tmp_path):
    extra = {"brand": ["Acme, Inc", "Zed", "Acme, Inc"], "note": ["Good, but slow", "Bad, yet quick", "Odd, and dear"]}

    found = guess_items(tmp_path, extra)

    assert (fields(found), found.separator) == ({"brand": "categories", "note": "texts"}, None)


def test_a_file_has_one_separator_and_the_other_columns_become_texts(tmp_path):
    found = guess_items(tmp_path, {"tags": ["a;b", "b;c", "a"], "genres": ["x|y", "y", "x|z"]})

    assert (fields(found), found.separator) == ({"tags": "texts", "genres": "categories"}, "|")
    assert found.of("texts")[0].why == "its values: split at ';', but a file has one separator"


def test_the_other_columns_are_sorted_by_name_and_by_values(tmp_path):
    extra = {
        "description": ["x", "y", "z"],
        "author": ["P, Q", "R, S", "P, Q"],
        "price": ["1.5", "2", "3"],
        "weight": [1, 2, 3],
        "language": ["en", "de", "fr"],
        "zip": ["10115", "20095", "80331"],
        "colours": [["red"], ["blue", "red"], []],
        "in_print": [True, False, True],
        "review": ["A text that goes on and on, and is longer than a category would ever be."] * 3,
        "released": ["1995-12-15", "1996-03-08", "1979-05-25"],
    }

    assert fields(guess_items(tmp_path, extra)) == {
        "description": "texts",
        "author": "texts",
        "price": "numbers",
        "weight": "numbers",
        "language": "categories",
        "zip": "categories",
        "colours": "categories",
        "in_print": "categories",
        "review": "texts",
        "released": "texts",
    }


def test_columns_of_no_use_are_left_out_with_the_reason(tmp_path):
    extra = {
        "imdbId": [113277, 116282, 78748],
        "poster": ["https://a/1.jpg", "https://a/2.jpg", "https://a/3.jpg"],
        "nothing": ["", "", ""],
        "details": [{f"key {number}": number for number in range(51)}] * 3,
        "kinds": ["['a', 'b']", "['b']", "{'c'}"],
        "Unnamed: 0": [0, 1, 2],
    }

    found = guess_items(tmp_path, extra)

    assert fields(found) == {}
    assert {guess.column: guess.why for guess in found.left_out} == {
        "imdbId": "is an id of something else, or a row number",
        "poster": "holds links",
        "nothing": "is empty",
        "details": "holds objects, not single values",
        "kinds": "holds lists or records written as texts; write lists as a|b|c",
        "Unnamed: 0": "is an id of something else, or a row number",
    }


def test_users_and_queries_refer_to_the_other_files(tmp_path):
    users = write(tmp_path, "u.csv", {"user_id": [1, 2, 3], "age": [20, 30, 40], "gender": ["f", "m", "f"]})
    queries = write(tmp_path, "q.csv", {"search term": ["a film", "b film"], "who": [1, 2], "clicked": ["a", "b"]})

    tables = guess_tables(write(tmp_path, "e.csv", EVENTS), write(tmp_path, "i.csv", ITEMS), users, queries)

    assert [table.section for table in tables] == ["events", "items", "users", "queries"]
    assert chosen(tables[2]) == {"id": "user_id", "numbers": "age", "categories": "gender"}
    assert chosen(tables[3]) == {"query": "search term", "user": "who", "item": "clicked", "time": None}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("gone.csv", None, "there is no such file"),
        ("table.xlsx", b"x", "'.xlsx' is not a supported file type"),
        ("empty.csv", b"", "1 fault"),
        ("text.jsonl", b"hello\n", "no row can be read; the first is not JSON"),
        ("text.parquet", b"hello", "cannot be read as Parquet"),
    ],
)
def test_what_is_no_table_is_told_in_words(tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_bytes(content)

    with pytest.raises(SourceFaults) as caught:
        look(tmp_path / name)

    assert message in str(caught.value)


@pytest.mark.parametrize("suffix", FORMATS)
def test_of_a_long_file_the_beginning_is_looked_at_but_the_largest_rating_is_that_of_all_rows(
    tmp_path, monkeypatch, suffix
):
    monkeypatch.setattr("sources.look.BEGINNING", 2000)
    monkeypatch.setattr("sources.look.LOOKED_AT", 50)

    events = write(tmp_path, f"e.{suffix}", {"user_id": list(range(999)), "rating": [*([3.0] * 998), 10.0]})

    assert events.column("rating").rows == 50
    assert events.column("rating").texts.unique().to_list() == ["3.0"]
    assert events.largest("rating") == 10
    assert len(events.ids("user_id")) == 999


VALUES = st.one_of(
    st.integers(-(2**70), 2**70).map(str),
    st.floats(width=32).map(str),
    st.sampled_from(["0", "1", "true", "", " ", "2020-01-01", "a|b", "http://x", "[1]", "007"]),
    st.text(max_size=5),
)


@settings(max_examples=50, deadline=None)
@given(
    st.dictionaries(st.text(min_size=1, max_size=8), st.lists(VALUES, min_size=4, max_size=4), min_size=1, max_size=6)
)
def test_any_table_is_guessed_without_an_error_and_no_column_is_two_things(tmp_path_factory, columns):
    table = write(tmp_path_factory.mktemp("any"), "any.parquet", columns)

    for found in guess_tables(table, table, table, table):
        used = [guess.column for guess in (*found.guesses, *found.left_out) if guess.column is not None]
        assert len(used) == len(set(used))
        assert set(used) <= set(columns)
        assert all(guess.why and guess.column not in guess.others for guess in found.guesses)
