"""Fill the tables of items and users: one row an entity, out of one row or, at the user's word, of several."""

import polars as pl

from sources.checked import CheckedTable
from sources.columns import to_categories, to_id, to_text
from sources.entity_config import Fields, ItemsConfig

AGAIN = "keep one row per id, or set {}.repeated: first to take the first filled value of each field"
LONG = "the table looks like long form, one property a row: set {}.long: {{name: ..., value: ...}} to its columns"
LONG_WIDTH = 4
"""Maximum columns of a table that looks like long form: id, property, value, time."""


def fill_items(table: CheckedTable, config: ItemsConfig) -> None:
    """Add the canonical columns of items, and every fault in them."""
    fill_entity(table, config, "items", "item")
    known = len(table.faults)
    texts = [to_text(table.values("items.title", column)) for column in config.titles()]
    readable = len(table.faults) == known
    if config.repeated == "first":
        texts = [_first_filled(table, "item", text) for text in texts]
    parts = pl.DataFrame([text.alias(str(place)) for place, text in enumerate(texts)])
    title = table.columns["title"] = parts.select(pl.coalesce(pl.all())).to_series()
    if readable:
        first, *others = config.titles()
        what = " and ".join(["is empty", *(f"so is {other!r}" for other in others)])
        table.reject(title.is_null() & ~table.dropped, first, what, "fill in the empty values")


def fill_entity(table: CheckedTable, config: Fields, section: str, key: str) -> None:
    """Add the canonical columns of items or users, and every fault in them.

    Args:
        table: The table.
        config: Its mapping.
        section: Section of knowflow.yaml.
        key: Name of the id's canonical column.
    """
    table.columns[key] = to_id(table.values(f"{section}.id", config.id, required=True))
    if config.repeated == "refuse":
        fix = LONG if _looks_long(table, key) else AGAIN
        table.reject_repeated([key], config.id, "appears more than once", fix.format(section))
    for name, column in config.texts.items():
        table.columns[name] = to_text(table.values(f"{section}.texts", column))
    for name, column in config.categories.items():
        values = table.values(f"{section}.categories", column, lists=True)
        table.columns[name] = to_categories(values, config.separator)
    for name, column in config.numbers.items():
        table.take(
            name, column, table.values(f"{section}.numbers", column, numbers=True), table.numbers, "is not a number"
        )
    if config.repeated == "first":
        for name in (*config.texts, *config.categories, *config.numbers):
            table.columns[name] = _first_filled(table, key, table.columns[name])
        table.drop(_again(table, key))


def _first_filled(table: CheckedTable, key: str, values: pl.Series) -> pl.Series:
    """Return for each row the first filled value of all rows with its id that have no fault."""
    is_list = isinstance(values.dtype, pl.List)
    frame = pl.DataFrame([table.columns[key].alias("key"), values.alias("value")])
    filled = pl.col("value").list.len() > 0 if is_list else pl.col("value").is_not_null()
    first = frame.filter(~table.bad).filter(filled).unique("key", keep="first", maintain_order=True)
    found = frame.select("key").join(first, on="key", how="left", maintain_order="left")["value"]
    return found.fill_null([]) if is_list else found


def _again(table: CheckedTable, key: str) -> pl.Series:
    """Return which rows without a fault have the id of an earlier one of them."""
    frame = pl.DataFrame([table.columns[key].alias("key"), table.bad.alias("bad")])
    earlier = ~pl.struct("key", "bad").is_first_distinct()
    return frame.select((earlier & ~pl.col("bad")).alias("again")).to_series()


def _looks_long(table: CheckedTable, key: str) -> bool:
    """Return whether every id is in several rows of a narrow table."""
    ids = table.columns[key].drop_nulls()
    return 3 <= len(table.raw.there) <= LONG_WIDTH and len(ids) > 0 and not ids.is_unique().any()
