"""Convert the columns of a file to canonical types, and collect the rows with faults."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches

import polars as pl

from sources.faults import Fault
from sources.raw import Raw

MICROSECONDS = pl.Datetime("us", "UTC")
SECONDS_UNTIL, MILLISECONDS_UNTIL, MICROSECONDS_UNTIL = 10**11, 10**14, 10**17
"""Numbers below the first are seconds since 1970 (until the year 5138), below the second milliseconds, below the third
microseconds; larger ones are not a time."""
FORMS = ("%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M", "%m/%d/%Y %I:%M:%S %p")
"""Formats of a time without a zone."""


MONEY = r"[$€£¥₹₽₩\s\u00a0]|^(usd|eur|gbp|chf|inr|jpy|cny|rub)|(usd|eur|gbp|chf|inr|jpy|cny|rub|zł|kr)$"
"""Signs of money around a number, in lower case."""


def unusable(column: pl.Series, lists: bool = False) -> str | None:
    """Return why a column of this type cannot be read; None if it can.

    Args:
        column: The column as stored in the file.
        lists: Whether lists are allowed, as for categories.
    """
    kind = column.dtype
    inner = kind.inner if isinstance(kind, pl.List | pl.Array) else kind
    if kind.is_nested() and not isinstance(kind, pl.List | pl.Array):
        return "holds objects, not single values"
    if kind is not inner and not lists:
        return "holds lists, not single values; a list can be a category"
    if inner.is_nested() or isinstance(inner, pl.Object | pl.Duration | pl.Unknown):
        return f"holds values of type {inner}, which cannot be read"
    if isinstance(inner, pl.Binary):
        try:
            column.cast(pl.List(pl.String) if kind is not inner else pl.String)
        except pl.exceptions.PolarsError:
            return "holds bytes that are not UTF-8 text"
    return None


def plain(column: pl.Series) -> pl.Series:
    """Return the same values for every storage type: blank text and NaN become null, single-precision 4.1 stays 4.1.

    Example:
        >>> plain(pl.Series(["a", " ", ""])).to_list()
        ['a', None, None]
    """
    kind = column.dtype
    if isinstance(kind, pl.Decimal):  # a database's whole number may have more digits than a float
        return column.cast(pl.String if kind.scale == 0 else pl.Float64)
    if isinstance(kind, pl.Float32):
        column = column.cast(pl.String).cast(pl.Float64)
    if column.dtype.is_float():
        return column.cast(pl.Float64).fill_nan(None)
    if kind.is_numeric() or kind.is_temporal() or isinstance(kind, pl.Boolean):
        return column
    if isinstance(kind, pl.List | pl.Array):
        return column.cast(pl.List(pl.String))
    text = column.cast(pl.String)
    return text.set(text.str.strip_chars() == "", None)


def to_text(column: pl.Series) -> pl.Series:
    """Convert values to text."""
    return plain(column).cast(pl.String)


def to_id(column: pl.Series) -> pl.Series:
    """Convert ids to whole numbers if all of them are, else to text, so that 10 sorts after 9 in every file format.

    A text is a whole number if the conversion keeps it the same: '007' stays text. A whole float loses its '.0',
    because a table with a missing id has floats.
    """
    column = plain(column)
    text = column.cast(pl.String)
    if column.dtype.is_float():
        whole = column.cast(pl.Int64, strict=False)
        text = whole.cast(pl.String).zip_with((whole.cast(pl.Float64) == column).fill_null(value=False), text)
    numbers = text.cast(pl.Int64, strict=False)
    alike = numbers.cast(pl.String) == text
    return numbers if (alike.fill_null(value=False) | text.is_null()).all() else text


def to_time(column: pl.Series) -> tuple[pl.Series, pl.Series]:
    """Convert times to UTC, to the microsecond; a time without a zone is read as UTC.

    Returns:
        The times, and a mask of values that are not a time.
    """
    column = plain(column)
    kind = column.dtype
    if isinstance(kind, pl.Datetime):
        times = column.dt.replace_time_zone("UTC") if kind.time_zone is None else column.dt.convert_time_zone("UTC")
        times = times.cast(MICROSECONDS)
    elif isinstance(kind, pl.Date):
        times = column.cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    elif kind.is_numeric():
        times = _from_number(column.cast(pl.Float64))
    else:
        text = column.cast(pl.String).str.strip_chars()
        times = _from_number(text.cast(pl.Float64, strict=False))
        if times.null_count() > column.null_count():
            for candidate in _from_text(text):
                times = times.fill_null(candidate)
    times = times.set(~times.dt.year().is_between(1, 9999), None)  # the years that Python supports
    return times, times.is_null() & column.is_not_null()


def _from_text(text: pl.Series) -> list[pl.Series]:
    zoned = text.str.to_datetime("%+", strict=False, time_unit="us", time_zone="UTC")
    naive = [text.str.to_datetime(form, strict=False, time_unit="us").dt.replace_time_zone("UTC") for form in FORMS]
    dates = text.str.to_date("%Y-%m-%d", strict=False).cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    return [zoned, *naive, dates]


def _from_number(column: pl.Series) -> pl.Series:
    """Convert numbers since 1970 to times; their size decides the unit."""
    frame = column.alias("n").to_frame()
    size = pl.col("n").abs()
    factor = pl.when(size < SECONDS_UNTIL).then(1_000_000).when(size < MILLISECONDS_UNTIL).then(1_000).otherwise(1)
    known = pl.col("n").is_finite() & (size < MICROSECONDS_UNTIL)
    moment = pl.when(known).then((pl.col("n") * factor).round(0))
    return frame.select(moment.cast(pl.Int64).cast(MICROSECONDS)).to_series()


def to_number(column: pl.Series, decimal_comma: bool = False) -> tuple[pl.Series, pl.Series]:
    """Convert values to Float64, true to 1 and false to 0; also return a mask of values that are not finite numbers.

    Args:
        column: The values; texts may have a sign of money and separated thousands.
        decimal_comma: Whether `1,5` is one and a half.

    Example:
        >>> to_number(pl.Series(["4", "$1,099.00", "1.099,00 €", "4,5"]))[0].to_list()
        [4.0, 1099.0, 1099.0, None]
        >>> to_number(pl.Series(["4,5", "1.099"]), decimal_comma=True)[0].to_list()
        [4.5, 1099.0]
    """
    column = plain(column)
    if isinstance(column.dtype, pl.String):
        text = column.str.strip_chars().str.to_lowercase().replace({"true": "1", "false": "0"})
        numbers = text.cast(pl.Float64, strict=False)
        if decimal_comma or numbers.null_count() > text.null_count():
            numbers = _written_number(text, numbers, decimal_comma)
    elif column.dtype.is_temporal():  # a date is not a number, although it is stored as one
        numbers = pl.Series([None] * len(column), dtype=pl.Float64)
    else:
        numbers = column.cast(pl.Float64)
    finite = numbers.is_finite().fill_null(value=False)
    return numbers.set(~finite, None), ~finite & column.is_not_null()


def _written_number(text: pl.Series, numbers: pl.Series, decimal_comma: bool) -> pl.Series:
    """Read numbers with separated thousands, a decimal comma or a sign of money."""
    bare = text.str.replace_all(MONEY, "")
    point = r"^[-+]?\d{1,3}(,\d{3})+(\.\d+)?$"
    comma = r"^[-+]?(\d{1,3}(\.\d{3})+|\d+),\d+$" if decimal_comma else r"^[-+]?\d{1,3}(\.\d{3})+,\d+$"
    thousands = decimal_comma and bool(bare.str.contains(comma).any())  # 1.099 beside 4,5 is a thousand
    as_comma = bare.str.contains(comma) | (bare.str.contains(r"^[-+]?\d{1,3}(\.\d{3})+$") & thousands)
    with_money = (bare != text) & bare.str.contains(r"^[-+]?\d+,\d{1,2}$")
    of_comma = bare.str.replace_all(".", "", literal=True).str.replace(",", ".", literal=True)
    of_point = bare.str.replace_all(",", "", literal=True)
    frame = pl.DataFrame({"n": numbers, "comma": as_comma | with_money, "point": bare.str.contains(point)})
    read = pl.DataFrame({"c": of_comma, "p": of_point, "b": bare}).with_columns(pl.all().cast(pl.Float64, strict=False))
    chosen = pl.when("comma").then(pl.col("c")).when(pl.col("n").is_not_null()).then(pl.col("n"))
    chosen = chosen.when("point").then(pl.col("p")).otherwise(pl.col("b"))
    return pl.concat([frame, read], how="horizontal").select(chosen.alias("n")).to_series()


def to_categories(column: pl.Series, separator: str) -> pl.Series:
    """Convert values to lists of non-blank texts; a text is split at the separator, null becomes an empty list."""
    column = plain(column)
    lists = column if isinstance(column.dtype, pl.List) else column.cast(pl.String).str.split(separator)
    trimmed = lists.list.eval(pl.element().str.strip_chars())
    return trimmed.list.eval(pl.element().filter(pl.element().is_not_null() & (pl.element() != ""))).fill_null([])


NAMED = 10
"""Maximum columns named in a message."""


@dataclass
class CheckedTable:
    """The converted columns of a file, and every fault found."""

    name: str
    """Name of the file in messages."""
    raw: Raw
    """The content that was read."""
    columns: dict[str, pl.Series] = field(default_factory=dict)
    """The canonical columns so far."""
    faults: list[Fault] = field(default_factory=list)
    """All faults so far."""
    bad: pl.Series = field(init=False)
    """[N] Boolean: rows with a fault."""

    def __post_init__(self) -> None:
        """Add the lines that could not be read."""
        self.bad = pl.Series([False] * len(self.raw.rows), dtype=pl.Boolean)
        self.faults += [Fault(self.name, line, None, None, why.what, why.fix) for line, why in self.raw.broken]

    def values(self, setting: str, column: str, required: bool = False, lists: bool = False) -> pl.Series:
        """Return the plain values of a column; if it cannot be read, add a fault and return nulls.

        Args:
            setting: Setting of knowflow.yaml that names the column.
            column: Name of the column.
            required: Whether every row must have a value.
            lists: Whether lists are allowed.
        """
        if not self.raw.there:
            return self._nothing()  # no line could be read, which is already a fault
        if column not in self.raw.there:
            problem = _missing(column, self.raw.there)
        else:
            problem = self.raw.spoiled.get(column) or unusable(self.raw.table[column], lists)
        if problem:
            fix = f"set the right column in knowflow.yaml under {setting}"
            self.faults.append(Fault(self.name, None, column, None, problem, fix))
            return self._nothing()
        values = plain(self.raw.table[column])
        if required:
            self.reject(values.is_null(), column, "is empty", "fill in the empty values")
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
        """Convert values to a canonical column; reject those that cannot be converted."""
        self.columns[name], bad = convert(values)
        self.reject(bad, column, what, f"correct each value that {what}")
        return self.columns[name]

    def numbers(self, values: pl.Series) -> tuple[pl.Series, pl.Series]:
        """Convert values to numbers as the file writes them, see `to_number`."""
        return to_number(values, self.raw.decimal_comma)

    def reject(self, mask: pl.Series, column: str, what: str, fix: str) -> None:
        """Add a fault for every row in a mask."""
        mask = mask.fill_null(value=False)
        if not mask.any():
            return
        rows, values = self.raw.rows.filter(mask), self.raw.table[column].filter(mask)
        for place, row, value in zip(mask.arg_true(), rows, values, strict=True):
            shown = None if value is None else str(value)
            self.faults.append(Fault(self.name, row, column, shown, what + self.raw.part(place), fix))
        self.bad = self.bad | mask

    def reject_repeated(self, keys: list[str], column: str, what: str, fix: str) -> None:
        """Reject rows whose key appears in an earlier row."""
        key = pl.DataFrame([self.columns[name].alias(name) for name in keys])
        whole = key.select(pl.all_horizontal(pl.all().is_not_null())).to_series()
        self.reject(whole & ~key.select(pl.struct(pl.all()).is_first_distinct()).to_series(), column, what, fix)

    def reject_unknown(self, key: str, column: str, known: "CheckedTable") -> None:
        """Reject rows whose id is not in another table; reject none if that table has no readable ids."""
        ids, there = self.columns[key].cast(pl.String), known.ids(key)
        if there.is_empty():
            return
        unknown = ids.is_not_null() & ~ids.is_in(there.implode())
        self.reject(unknown, column, f"is not in {known.name}", f"add it to {known.name}, or drop the row")

    def ids(self, key: str) -> pl.Series:
        """Return the ids of all rows as text."""
        return self.columns[key].cast(pl.String).drop_nulls().unique()

    def leave_out_lost(self, key: str, known: "CheckedTable") -> int:
        """Mark rows as bad whose id was left out of another table.

        Returns:
            How many rows were newly marked.
        """
        kept = known.columns[key].filter(~known.bad).cast(pl.String)
        ids = self.columns[key].cast(pl.String)
        lost = ids.is_not_null() & ~ids.is_in(kept.unique().implode()) & ~self.bad
        self.bad = self.bad | lost
        return int(lost.sum())

    def finish(self) -> pl.DataFrame:
        """Return the canonical columns without the rows that have faults."""
        return pl.DataFrame([series.alias(name) for name, series in self.columns.items()]).filter(~self.bad)


def _missing(column: str, there: Sequence[str]) -> str:
    close = get_close_matches(column, there, n=1, cutoff=0.5)
    if close:
        return f"is missing; did you mean {close[0]!r}?"
    more = f" and {len(there) - NAMED:,} more" if len(there) > NAMED else ""
    return f"is missing; there are {', '.join(repr(name) for name in there[:NAMED])}{more}"
