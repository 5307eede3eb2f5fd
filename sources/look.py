"""Looking at a file of the user's: its columns through their first rows, and what their values look like."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl

from sources.columns import plain, to_id, to_number, to_time, unusable
from sources.faults import Fault, SourceFaults
from sources.read import Raw, numbered, read_columns
from sources.records import Broken

LOOKED_AT = 50_000
"""Rows of a file that are looked at; ids are compared with those of the whole other file."""
BEGINNING = 2**24
"""Bytes of a CSV or JSONL file that are looked at."""


@dataclass(frozen=True, eq=False)
class Column:
    """One column, seen through the first rows of its file."""

    name: str
    """Name in the file."""
    raw: pl.Series
    """Its values as the file holds them; none when they cannot be read."""
    rows: int
    """Number of rows that were looked at."""
    fault: str | None = None
    """Why no setting can take its values, if so."""

    @cached_property
    def key(self) -> str:
        """The name without case, signs and type suffix: `User-ID` and `user_id:token` are both `userid`."""
        return re.sub(r"[\W_]", "", self.name.lower().split(":")[0])

    @cached_property
    def filled(self) -> pl.Series:
        """The values that are there."""
        return plain(self.raw).drop_nulls()

    @property
    def is_list(self) -> bool:
        """Whether the values are lists."""
        return isinstance(self.raw.dtype, pl.List | pl.Array)

    @property
    def is_simple(self) -> bool:
        """Whether there are values, and none of them a list."""
        return len(self.filled) > 0 and not self.is_list

    @property
    def is_full(self) -> bool:
        """Whether no value is missing."""
        return len(self.filled) == self.rows

    @property
    def is_text(self) -> bool:
        """Whether the values are texts that are no numbers."""
        return self.is_simple and self.filled.dtype == pl.String and self.numbers is None

    @cached_property
    def texts(self) -> pl.Series:
        """The filled values as stripped texts."""
        return self.filled.cast(pl.String).str.strip_chars()

    @cached_property
    def distinct(self) -> int:
        """Number of different values."""
        return self.texts.n_unique()

    @cached_property
    def length(self) -> float:
        """Mean number of characters of a value; of a list, of its elements."""
        values = self.filled.explode().drop_nulls() if self.is_list else self.texts
        return float(values.str.len_chars().to_numpy().mean()) if len(values) else 0.0

    @cached_property
    def numbers(self) -> pl.Series | None:
        """The filled values as numbers, when all of them are."""
        if not self.is_simple or self.filled.dtype.is_temporal():
            return None
        numbers, bad = to_number(self.filled)
        return None if bad.any() else numbers

    @cached_property
    def is_label(self) -> bool:
        """Whether each value is 0 or 1, or false or true."""
        return self.numbers is not None and bool(self.numbers.is_in([0.0, 1.0]).all())

    @property
    def is_flag(self) -> bool:
        """Whether each value is true or false."""
        return self.is_label and bool(self.texts.str.to_lowercase().is_in(["true", "false"]).all())

    @cached_property
    def looks_like_rating(self) -> bool:
        """Whether the values are a few whole or half steps between 0 and 10."""
        if self.numbers is None or not 3 <= self.distinct <= 21:
            return False
        return bool((self.numbers * 2 == (self.numbers * 2).floor()).all() and self.numbers.is_between(0, 10).all())

    @cached_property
    def span(self) -> tuple[int, int] | None:
        """First and last year, when all values are times."""
        if not self.is_simple or isinstance(self.filled.dtype, pl.Boolean | pl.Time):
            return None
        times, bad = to_time(self.filled)
        years = times.dt.year().to_numpy()
        return None if bad.any() else (int(years.min()), int(years.max()))

    @property
    def looks_like_time(self) -> bool:
        """Whether all values are times of our days."""
        return self.span is not None and self.span[0] >= 1980 and self.span[1] <= 2100

    @cached_property
    def looks_like_id(self) -> bool:
        """Whether all values are there and short, and no broken numbers, dates or flags."""
        if not self.is_simple or not self.is_full or self.is_flag or self.filled.dtype.is_temporal():
            return False
        whole = self.numbers is None or bool((self.numbers == self.numbers.floor()).all())
        return whole and int(self.texts.str.len_chars().to_numpy().max()) <= 64

    @property
    def is_unique(self) -> bool:
        """Whether every row has a value of its own."""
        return self.is_full and self.is_simple and self.distinct == self.rows

    @property
    def is_link(self) -> bool:
        """Whether all values are addresses of web pages."""
        return self.is_simple and bool(self.texts.str.contains(r"^https?://").all())

    def share_of(self, ids: set[str]) -> float:
        """Share of the different values that are among some ids."""
        own = to_id(self.filled).cast(pl.String).unique().to_list()
        return sum(value in ids for value in own) / max(len(own), 1)


@dataclass(frozen=True)
class Look:
    """A file that was looked at."""

    path: Path
    """The file."""
    columns: tuple[Column, ...]
    """Its columns."""

    def names(self) -> list[str]:
        """Names of all columns."""
        return [column.name for column in self.columns]

    def column(self, name: str) -> Column:
        """One column by its name."""
        return next(column for column in self.columns if column.name == name)

    def ids(self, name: str) -> set[str]:
        """All ids of a column of the whole file, written as `sources.load` compares them."""
        return set(to_id(_read(self.path, [name]).table[name]).drop_nulls().cast(pl.String).unique().to_list())

    def largest(self, name: str) -> float:
        """The largest number of a column of the whole file."""
        numbers = to_number(_read(self.path, [name]).table[name])[0].drop_nulls()
        return float(numbers.to_numpy().max())


def look(path: Path) -> Look:
    """Look at the first rows of a file.

    Raises:
        SourceFaults: The file is not there, cannot be read, or is no table.
    """
    if not path.is_file():
        raise _no_table(path, "there is no such file", "fix the path")
    if path.suffix.lower() == ".parquet":
        names = _read(path, []).there
        table = pl.scan_parquet(path, glob=False, hive_partitioning=False).head(LOOKED_AT).collect()
        raw = Raw(table, numbered(1, len(table)), names)
    elif path.stat().st_size <= BEGINNING:
        raw = _read(path, _read(path, []).there)
    else:
        with TemporaryDirectory() as folder:
            begin = Path(folder) / path.name
            with path.open("rb") as file:
                begin.write_bytes(file.read(BEGINNING).rpartition(b"\n")[0] + b"\n")
            raw = _read(begin, _read(begin, []).there, str(path))
    names = list(dict.fromkeys(raw.there))
    if raw.rows.is_empty() or not names:
        first = raw.broken[0][1] if raw.broken else Broken("has no column", "give a file with data")
        raise _no_table(path, f"no row can be read; the first {first.what}", first.fix)
    if path.suffix.lower() == ".csv" and re.fullmatch(r"-?\d+(\.\d+)?", names[0]):
        raise _no_table(path, "its first line holds data, not the names of the columns", "add a line of names")
    return Look(path, tuple(_column(name, raw) for name in names))


def _column(name: str, raw: Raw) -> Column:
    rows = min(len(raw.rows), LOOKED_AT)
    spoiled = raw.spoiled.get(name)
    values = raw.table[name].head(rows) if spoiled is None else pl.Series(name, [], dtype=pl.String)
    fault = spoiled or unusable(values, lists=True)
    return Column(name, pl.Series(name, [], dtype=pl.String) if fault else values, rows, fault)


def _read(path: Path, columns: Sequence[str], name: str | None = None) -> Raw:
    raw, faults = read_columns(path, columns, name or str(path), "events")
    if raw is None:
        raise SourceFaults(faults)
    return raw


def _no_table(path: Path, what: str, fix: str) -> SourceFaults:
    return SourceFaults((Fault(str(path), None, None, None, what, fix),))
