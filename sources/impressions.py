"""Impressions: a file whose cells each hold all items of one page, as MIND's behaviors.tsv writes them."""

from dataclasses import replace

import polars as pl

from sources.checked import CheckedTable
from sources.columns import to_id
from sources.config import EventsConfig
from sources.raw import Raw


def one_row_each(raw: Raw, column: str, separator: str) -> tuple[Raw, pl.Series]:
    """Give every item of a cell a row of its own; each keeps the line of its cell.

    Args:
        raw: The content of the file.
        column: Column whose cells hold several items: a text, or a list.
        separator: What stands between two items of a text.

    Returns:
        The content with one item in each row, and for each row the place of its cell: [N] UInt32. A cell without items
        leaves one row, whose item is null. A file without the column is returned as it is.

    Example:
        >>> cells = pl.DataFrame({"user": ["a", "b"], "shown": ["n1-0 n2-1", "n3-1"]})
        >>> made, cell = one_row_each(Raw(cells, pl.Series([2, 3]), ("user", "shown")), "shown", " ")
        >>> made.table.rows(), made.rows.to_list(), cell.to_list()
        ([('a', 'n1-0'), ('a', 'n2-1'), ('b', 'n3-1')], [2, 2, 3], [0, 0, 1])
    """
    place = pl.int_range(len(raw.rows), dtype=pl.UInt32, eager=True)
    if column not in raw.table.columns:
        return raw, place
    cells = raw.column(column)
    if not isinstance(cells.dtype, pl.List):
        cells = cells.cast(pl.String).str.split(separator)
    texts = pl.element().cast(pl.String).str.strip_chars()
    cells = cells.list.eval(texts.filter(texts != ""))
    count = cells.list.len().fill_null(0).clip(lower_bound=1)  # a cell without items stays, to be reported
    cell = place.repeat_by(count).explode()
    ends, parts = [0, *count.cum_sum()], []
    first = 0
    for name, rows in raw.parts:
        parts.append((name, ends[first + rows] - ends[first]))
        first += rows
    table = raw.table[cell].with_columns(cells.explode().alias(column))
    return replace(raw, table=table, rows=raw.rows[cell], parts=tuple(parts)), cell


def item_and_label(shown: pl.Series, sign: str) -> tuple[pl.Series, pl.Series]:
    """Split each text at its last sign: before it is the item, after it the label.

    Args:
        shown: [N] String.
        sign: What stands between an item and its label.

    Returns:
        [N] String item and [N] Float32 label; null where no 0 or 1 stands after a sign.

    Example:
        >>> item, label = item_and_label(pl.Series(["N-5-1", "N7-0", "N9"]), "-")
        >>> item.to_list(), label.to_list()
        (['N-5', 'N7', None], [1.0, 0.0, None])
    """
    code = "".join(f"\\x{{{ord(letter):x}}}" for letter in sign)  # a sign such as | means itself
    pattern = f"(?s)^(.+){code}([01])$"  # the first group takes all it can, so the last sign divides
    return shown.str.extract(pattern, 1), shown.str.extract(pattern, 2).cast(pl.Float32)


def from_impressions(table: CheckedTable, config: EventsConfig) -> CheckedTable:
    """Return the table with one item in each row; the items of one cell share a session unless a column says it."""
    if not config.impressions:
        return table
    raw, cell = one_row_each(table.raw, config.item, config.impressions.separator)
    return CheckedTable(table.name, raw, {} if config.session else {"session": cell.cast(pl.String)})


def fill_impressions(table: CheckedTable, column: str, sign: str) -> None:
    """Fill the items and labels of a table with one item in each row."""
    shown = table.values("events.item", column, required=True).cast(pl.String)
    item, table.columns["label"] = item_and_label(shown, sign)
    table.columns["item"] = to_id(item)
    table.columns["rating"] = pl.repeat(None, len(shown), dtype=pl.Float32, eager=True)
    what, fix = f"does not end in {sign}0 or {sign}1", "correct it, or events.impressions, which says how labels stand"
    table.reject(shown.is_not_null() & item.is_null(), column, what, fix)
