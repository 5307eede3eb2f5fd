"""Guess items where the rows of the events are all there is, or where a table of them is in long form."""

import re
from collections.abc import Sequence

import polars as pl

from sources.columns import plain
from sources.guess_items import guess_entity, guess_title
from sources.guess_words import (
    CATEGORY,
    ITEM,
    NUMBER,
    PROPERTY,
    PROPERTY_VALUE,
    TEXT,
    TIME,
    TITLE,
    Guess,
    Setting,
    TableGuess,
    by_name,
    choose,
    taken_by,
    told_apart,
)
from sources.look import Column, Look

ALIKE = 0.9
"""Share of the items in whose rows a value must be the same, so that it says something of the item."""
PROPERTIES = 20
"""Maximum properties of a table in long form that become fields."""


def guess_own_item(events: Look) -> Guess:
    """Find the item in a file of transactions: by its name, else the repeating id on which a short text depends."""
    named = [column for column in by_name(events.columns, ITEM) if column.is_simple and not column.is_unique]
    if named:
        return choose("item", named, "its name", "")
    strangers = told_apart(events.columns)
    ids = [c for c in events.columns if c.looks_like_id and not c.is_label and not c.is_unique and c not in strangers]
    texts = [c for c in events.columns if c.is_text and not c.looks_like_time and c.distinct > 2]
    found = [c for c in ids if any(_share_alike(c, text) >= ALIKE for text in texts if text is not c)]
    return choose(
        "item", found, "its values: ids with a text that is the same in all their rows", "the column of the item's id"
    )


def guess_items_of_events(events: Look, item: Guess, taken: Sequence[Guess]) -> TableGuess:
    """Guess the items in a file of transactions: the columns that have one value in all rows of an item.

    Args:
        events: The file.
        item: The column of the item's id.
        taken: Its columns with another role.
    """
    key = Guess("id", item.column, f"events.item: {item.why}")
    settings = (Setting("repeated", "first", "proposed: items are taken from the events' rows"),)
    if item.column is None:
        return TableGuess("items", events, (key, Guess("title", None, "the column with an item's name")))
    id_, names = events.column(item.column), taken_by(*taken)
    user = next((events.column(guess.column) for guess in taken if guess.setting == "user" and guess.column), None)
    rest = [column for column in events.columns if column.name not in names and column is not id_]
    why = {column.name: _of_the_event(column, id_, user) for column in rest}
    of_items = Look(events.path, (id_, *(c for c in rest if not why[c.name])), events.settings)
    of_items = _one_row_an_item(of_items, id_)
    guessed = guess_entity("items", of_items, (key, guess_title(of_items, [id_.name])))
    left_out = (*guessed.left_out, *(Guess("", name, words) for name, words in why.items() if words))
    return TableGuess("items", of_items, guessed.guesses, left_out, guessed.separator, settings)


def guess_long(items: Look) -> TableGuess | None:
    """Guess the items of a table in long form, with an id, the name of a property and its value in every row.

    Returns:
        None if it is no such table.
    """
    ids = [column for column in by_name(items.columns, ITEM) if column.is_simple and not column.is_unique]
    names = [column for column in by_name(items.columns, PROPERTY) if column.is_simple and not column.is_unique]
    values = by_name(items.columns, PROPERTY_VALUE)
    if not (ids and names and values) or len(items.columns) > 5 or _share_alike(ids[0], names[0]) >= ALIKE:
        return None
    long = {"name": names[0].name, "value": values[0].name}
    if times := by_name(items.columns, TIME):
        long["time"] = times[0].name
    properties = [Column(name, pl.Series([], dtype=pl.String), 0) for name in names[0].texts.unique().sort().to_list()]
    titles = by_name(properties, TITLE)
    title = (
        choose("title", titles, "its name", "")
        if titles
        else Guess("title", ids[0].name, "no property is a name: the id")
    )
    words = [one for one in properties if re.fullmatch(r"[A-Za-z_ ]+", one.name) and one.name != title.column]
    fields = [
        Guess("texts" if by_name([one], TEXT) else "categories", one.name, "its name: a property", field=_field(one))
        for one in words[:PROPERTIES]
    ]
    left = Guess(
        "",
        names[0].name,
        f"names {len(properties) - len(fields)} other properties too",
    )
    settings = (Setting("long", long, "proposed: every row holds one property of an item"),)
    left_out = (left,) if len(properties) > len(fields) else ()
    return TableGuess("items", items, (Guess("id", ids[0].name, "its name"), title, *fields), left_out, None, settings)


def _field(column: Column) -> str:
    return re.sub(r"\W+", "_", column.name).strip("_")


def _of_the_event(column: Column, item: Column, user: Column | None) -> str:
    """Return why a column says nothing of the item; empty if it does."""
    if column.distinct <= 1 and len(column.filled):
        return "is the same in every row"
    alike = _share_alike(item, column)
    if alike < 0:  # no item is in several rows: only names can tell
        return (
            ""
            if by_name([column], (*TITLE, *TEXT, *CATEGORY, *NUMBER))
            else "may be of the event: every item is in one row"
        )
    if alike < ALIKE:
        return "differs between the rows of one item"
    of_user = _share_alike(user, column) if user else -1
    return "is of the user" if of_user > alike else ""


def _share_alike(key: Column, column: Column) -> float:
    """Return the share of keys in several rows in which a column has at most one value; -1 without such keys."""
    if len(key.raw) != len(column.raw) or column.is_list:
        return -1
    frame = pl.DataFrame([plain(key.raw).alias("key"), plain(column.raw).alias("value")]).drop_nulls()
    several = frame.group_by("key").agg(pl.len().alias("rows"), pl.col("value").n_unique().alias("values"))
    several = several.filter(pl.col("rows") > 1)
    return float((several["values"] == 1).sum()) / len(several) if len(several) else -1


def _one_row_an_item(table: Look, key: Column) -> Look:
    """Return the columns with the first filled value of each item."""
    ids = plain(key.raw).alias("key")
    distinct = ids.drop_nulls().unique(maintain_order=True).to_frame()
    columns: list[Column] = []
    for column in table.columns:
        values = pl.DataFrame([ids, plain(column.raw).alias("value")]).drop_nulls()
        first = distinct.join(
            values.unique("key", keep="first", maintain_order=True), on="key", how="left", maintain_order="left"
        )
        columns.append(Column(column.name, first["value"], len(distinct), column.fault, column.decimal_comma))
    return Look(table.path, tuple(columns), table.settings)
