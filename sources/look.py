"""Inspect a user's file: its columns by their first rows, and what their values look like."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl

from sources.columns import plain, to_id, to_number, unusable
from sources.faults import Fault, SourceFaults
from sources.file_format import FileFormat
from sources.list_text import as_lists
from sources.nested import columns_at
from sources.plain_text import utf8_lines
from sources.raw import Raw, numbered
from sources.read import NO_FILE, is_parquet, parts_of, read_columns
from sources.read_csv import read_fields
from sources.read_json import read_jsonl
from sources.records import Broken
from sources.sniff import Form, form_of, proposed_encoding
from sources.times import ambiguous_form, to_time

LOOKED_AT = 50_000
"""Maximum rows inspected per file; ids are compared with those of the whole other file."""
BEGINNING = 2**24
"""Maximum bytes inspected of a CSV or JSONL file."""


@dataclass(frozen=True, eq=False)
class Column:
    """One column, judged by the first rows of its file."""

    name: str
    """Name in the file."""
    raw: pl.Series
    """Its values as stored in the file; empty if they cannot be read."""
    rows: int
    """Number of rows inspected."""
    fault: str | None = None
    """Why no setting can use its values; None if one can."""
    decimal_comma: bool = False
    """Whether a comma in a number is a decimal comma."""

    @cached_property
    def key(self) -> str:
        """Return the name without case, punctuation, type suffix: `User-ID` and `user_id:token` are both `userid`."""
        return re.sub(r"[\W_]", "", self.name.lower().split(":")[0])

    @cached_property
    def filled(self) -> pl.Series:
        """Return the values that are not missing."""
        return plain(self.raw).drop_nulls()

    @property
    def is_list(self) -> bool:
        """Return whether the values are lists."""
        return isinstance(self.raw.dtype, pl.List | pl.Array)

    @property
    def is_simple(self) -> bool:
        """Return whether there are values and none of them is a list."""
        return len(self.filled) > 0 and not self.is_list

    @property
    def is_full(self) -> bool:
        """Return whether no value is missing."""
        return len(self.filled) == self.rows

    @property
    def is_text(self) -> bool:
        """Return whether the values are texts that are not numbers."""
        return self.is_simple and self.filled.dtype == pl.String and self.numbers is None

    @cached_property
    def texts(self) -> pl.Series:
        """Return the filled values as stripped texts."""
        return self.filled.cast(pl.String).str.strip_chars()

    @cached_property
    def distinct(self) -> int:
        """Return the number of distinct values."""
        return self.texts.n_unique()

    @cached_property
    def length(self) -> float:
        """Return the mean number of characters of a value; for lists, of an element."""
        values = self.filled.explode().drop_nulls() if self.is_list else self.texts
        return float(values.str.len_chars().to_numpy().mean()) if len(values) else 0.0

    @cached_property
    def numbers(self) -> pl.Series | None:
        """Return the filled values as numbers; None unless all of them are."""
        if not self.is_simple or self.filled.dtype.is_temporal():
            return None
        numbers, bad = to_number(self.filled, self.decimal_comma)
        return None if bad.any() else numbers.drop_nulls()

    @cached_property
    def is_label(self) -> bool:
        """Return whether each value is 0 or 1, or false or true."""
        return self.numbers is not None and bool(self.numbers.is_in([0.0, 1.0]).all())

    @property
    def is_flag(self) -> bool:
        """Return whether each value is true or false."""
        return self.is_label and bool(self.texts.str.to_lowercase().is_in(["true", "false"]).all())

    @cached_property
    def looks_like_rating(self) -> bool:
        """Return whether the values are a few whole or half steps between 0 and 10."""
        if self.numbers is None or not 3 <= self.distinct <= 21:
            return False
        return bool((self.numbers * 2 == (self.numbers * 2).floor()).all() and self.numbers.is_between(0, 10).all())

    @cached_property
    def span(self) -> tuple[int, int] | None:
        """Return the first and last year; None unless all values are times."""
        if not self.is_simple or isinstance(self.filled.dtype, pl.Boolean | pl.Time):
            return None
        times, bad = to_time(self.filled)
        years = times.drop_nulls().dt.year().to_numpy()
        return None if bad.any() or not len(years) else (int(years.min()), int(years.max()))

    @property
    def ambiguous_form(self) -> str | None:
        """Return the form in which its times are read if day and month could be the other way round."""
        return ambiguous_form(self.filled) if self.span and self.filled.dtype == pl.String else None

    @property
    def looks_like_time(self) -> bool:
        """Return whether all values are times from 1980 to 2100."""
        return self.span is not None and self.span[0] >= 1980 and self.span[1] <= 2100

    @cached_property
    def looks_like_id(self) -> bool:
        """Return whether no value is missing, all are short, and none is a fractional number, date or flag."""
        if not self.is_simple or not self.is_full or self.is_flag or self.filled.dtype.is_temporal():
            return False
        whole = self.numbers is None or bool((self.numbers == self.numbers.floor()).all())
        return whole and int(self.texts.str.len_chars().to_numpy().max()) <= 64

    @property
    def is_unique(self) -> bool:
        """Return whether every row has a distinct value."""
        return self.is_full and self.is_simple and self.distinct == self.rows

    @property
    def counts_up(self) -> bool:
        """Return whether the values are whole numbers, each one more than that of the row before."""
        return self.is_full and self.numbers is not None and bool((self.numbers.diff().drop_nulls() == 1).all())

    @property
    def is_link(self) -> bool:
        """Return whether all values are web addresses."""
        return self.is_simple and bool(self.texts.str.contains(r"^https?://").all())

    def share_of(self, ids: set[str]) -> float:
        """Return the share of distinct values that are among some ids."""
        own = to_id(self.filled).cast(pl.String).unique().to_list()
        return sum(value in ids for value in own) / max(len(own), 1)


@dataclass(frozen=True)
class Look:
    """An inspected file."""

    path: Path
    """The file."""
    columns: tuple[Column, ...]
    """Its columns."""
    settings: FileFormat
    """How its text is written."""

    def names(self) -> list[str]:
        """Return the names of all columns."""
        return [column.name for column in self.columns]

    def column(self, name: str) -> Column:
        """Return a column by its name."""
        return next(column for column in self.columns if column.name == name)

    def ids(self, name: str) -> set[str]:
        """Return all ids in a column of the whole file, in the form that `sources.load` compares."""
        return set(
            to_id(_read(self.path, [name], self.settings).column(name)).drop_nulls().cast(pl.String).unique().to_list()
        )

    def largest(self, name: str) -> float:
        """Return the largest number in a column of the whole file."""
        raw = _read(self.path, [name], self.settings)
        numbers = to_number(raw.column(name), raw.decimal_comma)[0].drop_nulls()
        return float(numbers.to_numpy().max())


def look(path: Path, known: FileFormat | None = None) -> Look:
    """Inspect the first rows of a file.

    Args:
        path: The file.
        known: What is known of how it is written; the rest is found out.

    Raises:
        SourceFaults: The file does not exist, cannot be read, or is not a table.
    """
    parts = parts_of(path)
    if not parts:
        raise _no_table(path, NO_FILE, "fix the path")
    settings = (known or FileFormat(path="")).model_copy(update={"path": str(path)})
    if is_parquet(parts[0]):
        names = _read(parts[0], [], settings).there
        lazy = pl.scan_parquet(parts[0], glob=False, hive_partitioning=False).head(LOOKED_AT)
        table = lazy.select(columns_at(lazy.collect_schema(), names)).collect()
        raw = Raw(table, numbered(1, len(table)), names)
    else:
        settings = settings.model_copy(update={"encoding": settings.encoding or _encoding(path, parts[0])})
        raw, form = _beginning(parts[0], settings)
        if form.kind == "fields":
            settings = settings.model_copy(update={"delimiter": form.delimiter, "header": form.header})
    names = list(dict.fromkeys(raw.there))
    if raw.rows.is_empty() or not names:
        first = raw.broken[0][1] if raw.broken else Broken("has no column", "use a file with data")
        raise _no_table(path, f"no row can be read; the first {first.what}", first.fix)
    return Look(path, tuple(_column(name, raw) for name in names), settings)


def _encoding(path: Path, part: Path) -> str | None:
    _read(part, [], FileFormat(path=str(path)))  # what cannot be opened at all is reported in words
    return proposed_encoding(part)


def _beginning(path: Path, settings: FileFormat) -> tuple[Raw, Form]:
    """Read the beginning of a text file."""
    form = form_of(path, settings)
    with TemporaryDirectory() as folder, utf8_lines(path, form.encoding, form.kind, form.delimiter) as lines:
        begin = lines
        if lines.stat().st_size > BEGINNING:
            begin = Path(folder) / "begin"
            with lines.open("rb") as file:
                begin.write_bytes(file.read(BEGINNING).rpartition(b"\n")[0] + b"\n")
        names: list[str] = []
        while True:
            raw = read_fields(begin, names, form) if form.kind == "fields" else read_jsonl(begin, names)
            if isinstance(raw, Broken):
                raise _no_table(path, raw.what, raw.fix)
            if names or not raw.there:
                return raw, form
            names = list(raw.there)


def _column(name: str, raw: Raw) -> Column:
    rows = min(len(raw.rows), LOOKED_AT)
    spoiled = raw.spoiled.get(name)
    values = raw.column(name).head(rows) if spoiled is None else pl.Series([], dtype=pl.String)
    if values.dtype == pl.String:
        lists = as_lists(plain(values))
        values = values if lists is None else lists
    fault = spoiled or unusable(values, lists=True)
    return Column(name, pl.Series([], dtype=pl.String) if fault else values, rows, fault, raw.decimal_comma)


def _read(path: Path, columns: Sequence[str], settings: FileFormat) -> Raw:
    raw, faults = read_columns(path, columns, str(path), "events", settings)
    if raw is None:
        raise SourceFaults(faults)
    return raw


def _no_table(path: Path, what: str, fix: str) -> SourceFaults:
    return SourceFaults((Fault(str(path), None, None, None, what, fix),))
