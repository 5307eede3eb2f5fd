"""One file on its way to a documented table: its canonical columns, and the rows that have faults."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches

import polars as pl

from sources.columns import plain, unusable
from sources.faults import Fault
from sources.read import Raw

NAMED = 10
"""Columns that a message names."""


@dataclass
class CheckedTable:
    """Columns as they are converted, and every fault that was met."""

    name: str
    """What messages call the file."""
    raw: Raw
    """What was read of it."""
    columns: dict[str, pl.Series] = field(default_factory=dict)
    """The canonical columns so far."""
    faults: list[Fault] = field(default_factory=list)
    """Everything that is wrong."""
    bad: pl.Series = field(init=False)
    """[N] Boolean: rows with a fault."""

    def __post_init__(self) -> None:
        """Take over the lines that could not be read."""
        self.bad = pl.Series([False] * len(self.raw.rows), dtype=pl.Boolean)
        self.faults += [Fault(self.name, line, None, None, why.what, why.mend) for line, why in self.raw.broken]

    def values(self, setting: str, column: str, required: bool = False, lists: bool = False) -> pl.Series:
        """Plain values of a column; nulls, and a fault, when it cannot be read.

        Args:
            setting: Setting of knowflow.yaml that names the column.
            column: Name of the column.
            required: Whether every row must have a value.
            lists: Whether lists are welcome.
        """
        if not self.raw.there:
            return self._nothing()  # no line could be read, which is a fault already
        if column not in self.raw.there:
            problem = _missing(column, self.raw.there)
        else:
            problem = self.raw.spoiled.get(column) or unusable(self.raw.table[column], lists)
        if problem:
            mend = f"name the right column in knowflow.yaml under {setting}"
            self.faults.append(Fault(self.name, None, column, None, problem, mend))
            return self._nothing()
        values = plain(self.raw.table[column])
        if required:
            self.reject(values.is_null(), column, "is empty", "fill in what is empty")
        return values

    def _nothing(self) -> pl.Series:
        return pl.Series([None] * len(self.raw.rows), dtype=pl.String)

    def take(
        self,
        name: str,
        column: str,
        values: pl.Series,
        convert: Callable[[pl.Series], tuple[pl.Series, pl.Series]],
        what: str,
    ) -> pl.Series:
        """Convert values into a canonical column, rejecting those the conversion cannot take."""
        self.columns[name], bad = convert(values)
        self.reject(bad, column, what, f"mend each value that {what}")
        return self.columns[name]

    def reject(self, mask: pl.Series, column: str, what: str, mend: str) -> None:
        """Note a fault for every row of a mask."""
        mask = mask.fill_null(value=False)
        if not mask.any():
            return
        for row, value in zip(self.raw.rows.filter(mask), self.raw.table[column].filter(mask), strict=True):
            self.faults.append(Fault(self.name, row, column, None if value is None else str(value), what, mend))
        self.bad = self.bad | mask

    def reject_repeated(self, keys: list[str], column: str, what: str, mend: str) -> None:
        """Reject rows whose key stands in an earlier row already."""
        key = pl.DataFrame([self.columns[name].alias(name) for name in keys])
        whole = key.select(pl.all_horizontal(pl.all().is_not_null())).to_series()
        self.reject(whole & ~key.select(pl.struct(pl.all()).is_first_distinct()).to_series(), column, what, mend)

    def reject_unknown(self, key: str, column: str, known: "CheckedTable") -> None:
        """Reject rows whose id is in no row of another table; no row, when that table has no readable ids at all."""
        ids, there = self.columns[key].cast(pl.String), known.ids(key)
        if there.is_empty():
            return
        unknown = ids.is_not_null() & ~ids.is_in(there.implode())
        self.reject(unknown, column, f"is not in {known.name}", f"add it to {known.name}, or drop the row")

    def ids(self, key: str) -> pl.Series:
        """The ids of all rows, as text."""
        return self.columns[key].cast(pl.String).drop_nulls().unique()

    def leave_out_lost(self, key: str, known: "CheckedTable") -> int:
        """Mark rows whose id is left out of another table as bad.

        Returns:
            How many rows were not bad before.
        """
        kept = known.columns[key].filter(~known.bad).cast(pl.String)
        ids = self.columns[key].cast(pl.String)
        lost = ids.is_not_null() & ~ids.is_in(kept.unique().implode()) & ~self.bad
        self.bad = self.bad | lost
        return int(lost.sum())

    def finish(self) -> pl.DataFrame:
        """The canonical columns, without the rows that have faults."""
        return pl.DataFrame([series.alias(name) for name, series in self.columns.items()]).filter(~self.bad)


def _missing(column: str, there: Sequence[str]) -> str:
    close = get_close_matches(column, there, n=1, cutoff=0.5)
    if close:
        return f"is missing; did you mean {close[0]!r}?"
    more = f" and {len(there) - NAMED:,} more" if len(there) > NAMED else ""
    return f"is missing; there are {', '.join(repr(name) for name in there[:NAMED])}{more}"
