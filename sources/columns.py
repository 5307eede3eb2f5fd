"""Columns in canonical types: each conversion gives the new column and says which values it could not take."""

import polars as pl

MICROSECONDS = pl.Datetime("us", "UTC")
SECONDS_UNTIL, MILLISECONDS_UNTIL, MICROSECONDS_UNTIL = 10**11, 10**14, 10**17
"""Whole numbers below the first are seconds since 1970 (until the year 5138), below the second milliseconds, below the
third microseconds; larger ones are no time."""
FORMS = ("%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M", "%m/%d/%Y %I:%M:%S %p")
"""Forms of a time without a zone."""


def unusable(column: pl.Series, lists: bool = False) -> str | None:
    """Say why a column of this type cannot be read, or None when it can.

    Args:
        column: As the file holds it.
        lists: Whether lists are welcome, as for categories.
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
            return "holds bytes that are no UTF-8 text"
    return None


def plain(column: pl.Series) -> pl.Series:
    """The same values however the file stores them: blank text and NaN are null, 4.1 is 4.1 in single precision too.

    Example:
        >>> plain(pl.Series(["a", " ", ""])).to_list()
        ['a', None, None]
    """
    kind = column.dtype
    if isinstance(kind, pl.Decimal):  # a database's whole number may be longer than a float can tell apart
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
    """Values as text."""
    return plain(column).cast(pl.String)


def to_id(column: pl.Series) -> pl.Series:
    """Ids as whole numbers when all of them are, else as text, so that 10 sorts after 9 in every file format.

    A number is whole when it reads the same after being made one: '007' stays text. A whole float loses its '.0', for
    a table with a missing id comes as floats.
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
    """Times in UTC, to the microsecond; a time without a zone is taken as UTC.

    Returns:
        The times, and a mask of values that are no time.
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
    times = times.set(~times.dt.year().is_between(1, 9999), None)  # the years that Python knows
    return times, times.is_null() & column.is_not_null()


def _from_text(text: pl.Series) -> list[pl.Series]:
    zoned = text.str.to_datetime("%+", strict=False, time_unit="us", time_zone="UTC")
    naive = [text.str.to_datetime(form, strict=False, time_unit="us").dt.replace_time_zone("UTC") for form in FORMS]
    dates = text.str.to_date("%Y-%m-%d", strict=False).cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    return [zoned, *naive, dates]


def _from_number(column: pl.Series) -> pl.Series:
    """Numbers since 1970, their unit told by their size."""
    frame = column.alias("n").to_frame()
    size = pl.col("n").abs()
    factor = pl.when(size < SECONDS_UNTIL).then(1_000_000).when(size < MILLISECONDS_UNTIL).then(1_000).otherwise(1)
    known = pl.col("n").is_finite() & (size < MICROSECONDS_UNTIL)
    moment = pl.when(known).then((pl.col("n") * factor).round(0))
    return frame.select(moment.cast(pl.Int64).cast(MICROSECONDS)).to_series()


def to_number(column: pl.Series) -> tuple[pl.Series, pl.Series]:
    """Numbers as Float64, true as 1 and false as 0, and a mask of values that are no finite number."""
    column = plain(column)
    if isinstance(column.dtype, pl.String):
        text = column.str.strip_chars().str.to_lowercase().replace({"true": "1", "false": "0"})
        numbers = text.cast(pl.Float64, strict=False)
    elif column.dtype.is_temporal():  # a date is no number, though it is stored as one
        numbers = pl.Series([None] * len(column), dtype=pl.Float64)
    else:
        numbers = column.cast(pl.Float64)
    finite = numbers.is_finite().fill_null(value=False)
    return numbers.set(~finite, None), ~finite & column.is_not_null()


def to_categories(column: pl.Series, separator: str) -> pl.Series:
    """Lists of text without blank ones; a text is split at the separator, null becomes an empty list."""
    column = plain(column)
    lists = column if isinstance(column.dtype, pl.List) else column.cast(pl.String).str.split(separator)
    trimmed = lists.list.eval(pl.element().str.strip_chars())
    return trimmed.list.eval(pl.element().filter(pl.element().is_not_null() & (pl.element() != ""))).fill_null([])
