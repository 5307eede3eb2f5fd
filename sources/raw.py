"""What is read of a file: its mapped columns, unchanged, with the row of each value."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from sources.records import Broken


@dataclass(frozen=True)
class Raw:
    """The mapped columns of a file, unchanged."""

    table: pl.DataFrame
    """The mapped columns that exist, and no others: a user's column may have any name."""
    rows: pl.Series
    """[N] Int64: the row of a Parquet file, or the line of a text file, of each row of the table."""
    there: tuple[str, ...]
    """Names of all columns of the file."""
    broken: tuple[tuple[int, Broken], ...] = ()
    """Lines that could not be read; they are not in the table."""
    spoiled: Mapping[str, str] = field(default_factory=dict)
    """Mapped columns that exist but cannot be read, and why."""
    decimal_comma: bool = False
    """Whether a comma in a number is a decimal comma."""
    parts: tuple[tuple[str, int], ...] = ()
    """Name and number of rows of each file that the table is made of; empty for a single file."""
    long: "tuple[Raw, Mapping[str, pl.Series]] | None" = None
    """The table in long form that this one was made of, and for each column the places of its values there."""

    def column(self, name: str) -> pl.Series:
        """Return a column as a series without a name: polars takes a name such as `*` for a pattern."""
        return self.table.get_column(name).alias("")

    def where(self, column: str, place: int) -> tuple[int, str]:
        """Return the row of a value, and the words that name its part: ` (in part-1.csv)`; empty for a single file."""
        if self.long and column in self.long[1]:
            table, places = self.long
            return table.where(column, places[column][place])
        row = self.rows[place]
        for name, count in self.parts:
            if place < count:
                return row, f" (in {name})"
            place -= count
        return row, ""


def known(wanted: Sequence[str], there: Sequence[str]) -> list[str]:
    """Return the wanted columns that there are."""
    return [column for column in wanted if column in there]


def numbered(first: int, count: int) -> pl.Series:
    """Return consecutive row numbers: [count] Int64."""
    return pl.int_range(first, first + count, dtype=pl.Int64, eager=True)
