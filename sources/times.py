"""Convert times of any usual form to UTC, to the microsecond."""

from collections.abc import Sequence

import polars as pl

from sources.columns import plain, without_marks

MICROSECONDS = pl.Datetime("us", "UTC")
SECONDS_UNTIL, MILLISECONDS_UNTIL, MICROSECONDS_UNTIL = 10**11, 10**14, 10**17
"""Numbers below the first are seconds since 1970 (until the year 5138), below the second milliseconds, below the third
microseconds; larger ones are not a time."""
SERIALS = (25569, 73050)
"""Days since 1899-12-30, as spreadsheets count them: 1970 to 2099. Read as seconds, all would be the morning of
1970-01-01."""
CLOCKS = ("%H:%M:%S%.f", "%H:%M", "%I:%M:%S %p", "%I:%M %p")
DAYS = ("%Y-%m-%d", "%Y/%m/%d", "%d.%m.%Y", "%d-%b-%Y", "%d %b %Y", "%d %B %Y", "%B %d, %Y", "%b %d, %Y", "%m %d, %Y")
SLASHED = (("%m/%d/%Y", "%d/%m/%Y"), ("%m-%d-%Y", "%d-%m-%Y"))
"""Days that may be meant in two ways; the first is taken unless it does not fit every value."""
ZONED = ("%+", "%a, %d %b %Y %H:%M:%S %z", "%a %b %d %H:%M:%S %z %Y", "%d/%b/%Y:%H:%M:%S %z")


def to_time(column: pl.Series, form: str | None = None) -> tuple[pl.Series, pl.Series]:
    """Convert times to UTC, to the microsecond; a time without a zone is read as UTC.

    Args:
        column: The values.
        form: How they are written, in the letters of strptime; the usual forms when left out.

    Returns:
        The times, and a mask of values that are not a time.

    Example:
        >>> to_time(pl.Series(["01.07.2020", "5-Jul-2020"]))[0].dt.day().to_list()
        [1, 5]
        >>> to_time(pl.Series([20200701, 20200705]))[0].dt.year().to_list()
        [2020, 2020]
    """
    column = without_marks(plain(column))
    kind = column.dtype
    if form is not None:
        times = _of_form(column.cast(pl.String).str.strip_chars(), form)
    elif isinstance(kind, pl.Datetime):
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
            times = _from_text(text, times)
    times = times.set(~times.dt.year().is_between(1, 9999), None)  # the years that Python supports
    return times, times.is_null() & column.is_not_null()


def ambiguous_form(column: pl.Series) -> str | None:
    """Return the form in which times are read that could also have day and month the other way round, if they can.

    Example:
        >>> ambiguous_form(pl.Series(["01/07/2020", "02/07/2020"])), ambiguous_form(pl.Series(["25/07/2020"]))
        ('%m/%d/%Y', None)
    """
    text = plain(column).drop_nulls().cast(pl.String).str.strip_chars()
    for pair in SLASHED:
        for first, other in zip(_with_clocks(pair[:1]), _with_clocks(pair[1:]), strict=True):
            if len(text) and not any(_of_form(text, form).null_count() for form in (first, other)):
                return first
    return None


def _from_text(text: pl.Series, times: pl.Series) -> pl.Series:
    text = text.str.replace(r"(?i)^posted:?\s+", "").str.strip_suffix(".")
    first = text.filter(times.is_null() & text.is_not_null()).head(1)
    forms = [*ZONED, *_with_clocks(DAYS)]
    forms += [form for pair in SLASHED for form in _slashed(text, pair)]
    # Most columns have one form: it is found on the first value alone, and often no other is tried.
    fitting = next((form for form in forms if not _of_form(first, form).null_count()), None)
    for form in [*([fitting] if fitting else []), *(one for one in forms if one != fitting)]:
        if times.null_count() == text.null_count():
            break
        times = times.fill_null(_of_form(text, form))
    return times


def _slashed(text: pl.Series, pair: tuple[str, str]) -> list[str]:
    """Return the forms to try, those first in which every such value has a month of at most 12."""
    parts = text.str.extract_groups(r"^(\d{1,2})[/-](\d{1,2})[/-]\d{4}").struct.unnest()
    largest = parts["1"].cast(pl.Int64).max()
    day_first = isinstance(largest, int) and largest > 12
    return _with_clocks((pair[1], pair[0]) if day_first else pair)


def _with_clocks(days: Sequence[str]) -> list[str]:
    return [form for day in days for form in (*(f"{day}{sign}{clock}" for clock in CLOCKS for sign in " T"), day)]


def _of_form(text: pl.Series, form: str) -> pl.Series:
    """Read texts of one form; others become null."""
    if form == "%+" or any(sign in form for sign in ("%z", "%#z", "%:z")):
        return text.str.to_datetime(form, strict=False, time_unit="us", time_zone="UTC")
    has_clock = any(sign in form for sign in ("%H", "%I", "%T", "%R", "%s"))
    if has_clock:
        return text.str.to_datetime(form, strict=False, time_unit="us").dt.replace_time_zone("UTC")
    return text.str.to_date(form, strict=False).cast(pl.Datetime("us")).dt.replace_time_zone("UTC")


def _from_number(column: pl.Series) -> pl.Series:
    """Convert numbers to times: dates as 20200701 or 20200701083000, days of a spreadsheet, or since 1970."""
    filled = column.drop_nulls()
    if len(filled):
        low, high = float(filled.to_numpy().min()), float(filled.to_numpy().max())
        if SERIALS[0] <= low and high < SERIALS[1]:
            return (((column - SERIALS[0]) * 86_400).round(0) * 1e6).cast(pl.Int64).cast(MICROSECONDS)
        for least, most, form in ((19000101, 21001231, "%Y%m%d"), (19000101000000, 21001231235959, "%Y%m%d%H%M%S")):
            if least <= low and high <= most:
                times = _of_form(column.cast(pl.Int64).cast(pl.String), form)
                if times.null_count() == column.null_count() and (filled == filled.floor()).all():
                    return times
    return since_1970(column)


def since_1970(column: pl.Series) -> pl.Series:
    """Read seconds, milliseconds or microseconds since 1970: the size of each number decides its unit.

    Args:
        column: Numbers as Float64.
    """
    frame = column.alias("n").to_frame()
    size = pl.col("n").abs()
    factor = pl.when(size < SECONDS_UNTIL).then(1_000_000).when(size < MILLISECONDS_UNTIL).then(1_000).otherwise(1)
    known = pl.col("n").is_finite() & (size < MICROSECONDS_UNTIL)
    moment = pl.when(known).then((pl.col("n") * factor).round(0))
    return frame.select(moment.cast(pl.Int64).cast(MICROSECONDS)).to_series()
