"""Columns in canonical types: each conversion gives the new column and says which values it could not take."""

import polars as pl

MICROSECONDS = pl.Datetime("us", "UTC")
SECONDS_UNTIL, MILLISECONDS_UNTIL = 10**11, 10**14
"""Whole numbers below the first are seconds since 1970 (until the year 5138), below the second milliseconds."""


def to_id(column: pl.Series) -> pl.Series:
    """Ids as whole numbers when all of them are, else as text, so that 10 sorts after 9 in every file format."""
    if column.dtype.is_integer():
        return column.cast(pl.Int64)
    if column.dtype.is_float() and (column.drop_nulls() == column.drop_nulls().floor()).all():
        return column.cast(pl.Int64)  # a table with a missing id comes as floats
    text = column.cast(pl.String)
    canonical = text.str.contains(r"^(0|-?[1-9]\d{0,17})$").fill_null(value=True).all()  # '007' stays text
    return text.cast(pl.Int64) if canonical else text


def to_time(column: pl.Series) -> tuple[pl.Series, pl.Series]:
    """Times in UTC, to the microsecond; a time without a zone is taken as UTC.

    Returns:
        The times, and a mask of values that are no time.
    """
    if isinstance(column.dtype, pl.Datetime):
        zoned = (
            column.dt.replace_time_zone("UTC") if column.dtype.time_zone is None else column.dt.convert_time_zone("UTC")
        )
        return zoned.cast(MICROSECONDS), column.is_null() & False
    if column.dtype == pl.Date:
        return column.cast(pl.Datetime("us")).dt.replace_time_zone("UTC"), column.is_null() & False
    if column.dtype.is_numeric():
        times = _from_number(column.cast(pl.Float64))
    else:
        text = column.cast(pl.String).str.strip_chars()
        times = _from_number(text.cast(pl.Float64, strict=False))
        for candidate in _from_text(text):
            times = times.fill_null(candidate)
    return times, times.is_null() & column.is_not_null()


def _from_text(text: pl.Series) -> list[pl.Series]:
    zoned = pl.Series(text).str.to_datetime("%+", strict=False, time_unit="us", time_zone="UTC")
    spaced = text.str.to_datetime("%Y-%m-%d %H:%M:%S%.f%:z", strict=False, time_unit="us", time_zone="UTC")
    forms = ("%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M", "%m/%d/%Y %I:%M:%S %p")
    naive = [text.str.to_datetime(form, strict=False, time_unit="us").dt.replace_time_zone("UTC") for form in forms]
    dates = text.str.to_date("%Y-%m-%d", strict=False).cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    return [zoned, spaced, *naive, dates]


def _from_number(column: pl.Series) -> pl.Series:
    """Numbers since 1970, their unit told by their size."""
    frame = column.alias("n").to_frame()
    size = pl.col("n").abs()
    factor = pl.when(size < SECONDS_UNTIL).then(1_000_000).when(size < MILLISECONDS_UNTIL).then(1_000).otherwise(1)
    moment = pl.when(pl.col("n").is_finite() & (size < 10**17)).then((pl.col("n") * factor).round(0))
    return frame.select(moment.cast(pl.Int64).cast(MICROSECONDS)).to_series()


def to_number(column: pl.Series) -> tuple[pl.Series, pl.Series]:
    """Numbers as Float64, and a mask of values that are no finite number."""
    numbers = (
        column.cast(pl.Float64, strict=False)
        if column.dtype != pl.String
        else (column.str.strip_chars().cast(pl.Float64, strict=False))
    )
    finite = numbers.is_finite().fill_null(value=False)
    return numbers.set(~finite, None), ~finite & column.is_not_null() & (column.cast(pl.String) != "")


def to_categories(column: pl.Series, separator: str) -> pl.Series:
    """Lists of text; a text is split at the separator, null becomes an empty list."""
    if isinstance(column.dtype, pl.List):
        return column.cast(pl.List(pl.String)).fill_null([])
    parts = column.cast(pl.String).str.split(separator)
    cleaned = parts.list.eval(pl.element().str.strip_chars()).list.eval(pl.element().filter(pl.element() != ""))
    return cleaned.fill_null([])
