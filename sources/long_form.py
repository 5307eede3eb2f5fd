"""Turn a table in long form, one property a row, into one with a column for each mapped property."""

import polars as pl

from sources.checked import CheckedTable
from sources.columns import to_text
from sources.entity_config import Fields
from sources.raw import Raw, known
from sources.times import to_time


def from_long(table: CheckedTable, config: Fields, section: str) -> CheckedTable:
    """Make a column of each wanted property: of several values of an id the earliest, else that of the first row.

    A later value is never used: it could tell a model what happened after the events that it learns from. Rows with
    faults take no part, values of other properties are left out before anything is sorted or compared.

    Args:
        table: The rows as they are in the file.
        config: The mapping, whose fields name properties, or the column of the id; its `long` is set.
        section: Section of knowflow.yaml, for messages.

    Returns:
        One row an id, in the order of their first rows, and the faults of the long table.
    """
    long = config.long
    assert long is not None  # asked before
    ids = table.values(f"{section}.id", config.id, required=True)
    names = to_text(table.values(f"{section}.long.name", long.name, required=True))
    values = table.values(f"{section}.long.value", long.value)
    if long.time:
        times = table.values(f"{section}.long.time", long.time, numbers=True)
        table.take("time", long.time, times, to_time, "is not a time")
    if any(fault.row is None for fault in table.faults):
        return CheckedTable(table.name, Raw(pl.DataFrame(), pl.Series(dtype=pl.Int64), ()), faults=table.faults)
    frame = pl.DataFrame(
        {"id": ids, "name": names, "value": values, "time": table.columns.pop("time", None), "good": ~table.bad}
    ).with_row_index("place")
    good = frame.lazy().filter("good")
    base = good.select("id", "place").unique("id", keep="first", maintain_order=True).collect()
    there = good.select(pl.col("name").unique(maintain_order=True)).collect()["name"].to_list()
    picked = [name for name in known(config.mapped(), there) if name != config.id]
    filled = good.filter(pl.col("name").is_in(picked), pl.col("value").is_not_null())
    first = filled.sort("time", "place", nulls_last=True).unique(["name", "id"], keep="first", maintain_order=True)
    by_name = first.collect().partition_by("name", as_dict=True)
    empty = frame.clear()
    columns = {config.id: base["id"]}
    places = {config.id: base["place"]}
    for name in picked:
        found = base.select("id").join(by_name.get((name,), empty), on="id", how="left", maintain_order="left")
        columns[name], places[name] = found["value"], found["place"].fill_null(base["place"])
    wide = Raw(
        pl.DataFrame([column.alias(name) for name, column in columns.items()]),
        table.raw.rows.gather(base["place"]),
        (config.id, *(name for name in there if name != config.id)),
        decimal_comma=table.raw.decimal_comma,
        long=(table.raw, places),
    )
    return CheckedTable(table.name, wide, faults=table.faults, earlier=table.counts())
