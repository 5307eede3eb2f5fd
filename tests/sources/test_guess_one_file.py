"""Guesses where there is no plain table of items: one file of transactions, or properties in long form."""

from pathlib import Path

import polars as pl
import pytest

from sources.guess import TableGuess, guess_tables
from sources.look import Look, look

SALES = {
    "order_no": [1, 1, 2, 2, 3, 3, 4, 4],
    "stock_code": ["a", "b", "a", "c", "b", "c", "a", "b"],
    "description": ["Red mug", "Blue mug", "Red mug", "Green cup", "Blue mug", "Green cup", "Red mug", "Blue mug"],
    "brand": ["X", "Y", "X", "X", "Y", "X", "X", "Y"],
    "pieces": [1, 2, 3, 1, 1, 2, 2, 4],
    "paid": [1.5, 2.5, 1.2, 9.0, 2.6, 8.5, 1.4, 2.2],
    "date": [f"2020-01-0{day}" for day in (1, 1, 2, 2, 3, 3, 4, 4)],
    "customer_id": [7, 7, 8, 8, 9, 9, 7, 7],
    "city": ["Rome", "Rome", "Oslo", "Oslo", "Bern", "Bern", "Rome", "Rome"],
    "shop": ["web"] * 8,
}
PROPERTIES = {
    "timestamp": [1_500_000_000_000] * 6,
    "itemid": [1, 1, 1, 2, 2, 2],
    "property": ["name", "categoryid", "790"] * 2,
    "value": ["Mug", "5", "n1", "Cup", "6", "n2"],
}
EVENTS = {"user_id": [1, 1, 2, 2], "itemid": [1, 2, 1, 2], "timestamp": [1_500_000_000 + n for n in range(4)]}


def write(folder: Path, name: str, columns: dict) -> Look:
    pl.DataFrame(columns).write_csv(folder / name)
    return look(folder / name)


def chosen(table: TableGuess) -> dict[str, str | None]:
    return {guess.setting: guess.column for guess in table.guesses}


@pytest.mark.parametrize("twice", [False, True])
def test_items_are_taken_from_the_rows_of_the_events(tmp_path, twice):
    sales = write(tmp_path, "sales.csv", SALES)

    events, items = guess_tables(sales, look(tmp_path / "sales.csv") if twice else None)

    roles = {name: column for name, column in chosen(events).items() if name in ("user", "item", "time")}
    assert roles == {"user": "customer_id", "item": "stock_code", "time": "date"}
    assert chosen(items) == {"id": "stock_code", "title": "description", "categories": "brand"}
    assert [(one.name, one.value) for one in items.settings] == [("repeated", "first")]


def test_what_is_of_the_event_or_the_user_is_no_field_of_an_item(tmp_path):
    items = guess_tables(write(tmp_path, "sales.csv", SALES))[1]

    assert {guess.column: guess.why for guess in items.left_out} == {
        "order_no": "differs between the rows of one item",
        "pieces": "differs between the rows of one item",
        "paid": "differs between the rows of one item",
        "city": "differs between the rows of one item",
        "shop": "is the same in every row",
    }


def test_a_column_that_follows_the_user_more_than_the_item_is_of_the_user(tmp_path):
    # Item c has two cities, a and b one each; every user has one.
    sales = {"item": list("aabbcc"), "user_id": [1, 1, 2, 2, 1, 2], "city": ["R", "R", "O", "O", "R", "O"]}
    many = {f"x{n}": 2 for n in range(30)}  # 30 items of user 1, all in one city: items agree in 32 of 33
    rows = {
        name: values + [{"item": i, "user_id": 1, "city": "R"}[name] for i in many for _ in (0, 1)]
        for name, values in sales.items()
    }

    items = guess_tables(write(tmp_path, "sales.csv", rows | {"date": ["2020-01-01"] * len(rows["item"])}))[1]

    assert {guess.column: guess.why for guess in items.left_out}["city"] == "is of the user"


def test_without_a_name_the_item_is_the_id_on_which_a_text_depends(tmp_path):
    names = {"stock_code": "x", "customer_id": "y", "order_no": "z"}
    sales = {names.get(name, name): values for name, values in SALES.items() if name != "city"}

    events, items = guess_tables(write(tmp_path, "sales.csv", sales))

    assert chosen(events)["item"] == chosen(items)["id"] == "x"
    assert chosen(items)["title"] == "description"


def test_a_table_in_long_form_is_recognised(tmp_path):
    events, items = guess_tables(write(tmp_path, "e.csv", EVENTS), write(tmp_path, "i.csv", PROPERTIES))

    assert chosen(events)["item"] == "itemid"
    assert [(one.name, one.value) for one in items.settings] == [
        ("long", {"name": "property", "value": "value", "time": "timestamp"})
    ]
    assert chosen(items) == {"id": "itemid", "title": "name", "categories": "categoryid"}


def test_in_long_form_the_id_stands_for_a_name_that_is_not_there(tmp_path):
    hashed = PROPERTIES | {"property": ["888", "categoryid", "790"] * 2}

    items = guess_tables(write(tmp_path, "e.csv", EVENTS), write(tmp_path, "i.csv", hashed))[1]

    assert chosen(items)["title"] == "itemid"


def test_a_wide_table_with_a_column_value_is_not_in_long_form(tmp_path):
    wide = {"itemid": [1, 2], "name": ["Mug", "Cup"], "value": [3.5, 4.5]}

    items = guess_tables(write(tmp_path, "e.csv", EVENTS), write(tmp_path, "i.csv", wide))[1]

    assert items.settings == ()
    assert chosen(items)["title"] == "name"


@pytest.mark.parametrize("names", [("用户", "商品", "时间", "评分"), ("k1", "k2", "k3", "k4")])
def test_few_users_with_small_ids_do_not_change_places_with_the_rating(tmp_path, names):
    user, item, time, rating = names
    events = {user: [n % 7 for n in range(28)], item: [100 + n % 6 for n in range(28)]}
    events |= {time: [f"2022-04-{n + 1:02}" for n in range(28)], rating: [n % 5 + 1 for n in range(28)]}
    items = {item: [100 + n for n in range(6)], "title": [f"Phone {n}" for n in range(6)]}

    guessed = guess_tables(write(tmp_path, "e.csv", events), write(tmp_path, "i.csv", items))[0]

    assert chosen(guessed) == {"user": user, "item": item, "time": time, "rating": rating}
    assert "check both" in guessed.of("user")[0].why
    assert (guessed.of("user")[0].others, guessed.of("rating")[0].others) == ((), (user,))


@pytest.mark.parametrize(
    ("name", "found"), [("user_session", True), ("impression_id", True), ("RequestID", True), ("note", False)]
)
def test_a_session_is_proposed_by_its_name_where_values_repeat(tmp_path, name, found):
    repeating = guess_tables(
        write(tmp_path, "e.csv", SALES | {name: ["s1", "s1", "s2", "s2", "s3", "s3", "s4", "s4"]})
    )[0]
    unique = guess_tables(write(tmp_path, "e.csv", SALES | {name: [f"s{n}" for n in range(8)]}))[0]

    assert [(one.name, one.value) for one in repeating.settings] == ([("session", name)] if found else [])
    assert unique.settings == ()
