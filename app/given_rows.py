"""The user's rows: which columns name the user, the item and the moment, and what is wrong with them."""

import warnings
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, time

import numpy as np
import polars as pl

from app.config import Config
from base.faults import WrongUse
from base.words import count_rows
from feature_store.features import Keys
from feature_store.timeline import LIVE
from sources.config import RowOrder
from sources.faults import Fault, faults_text
from sources.times import since_1970

MOST = 1_000
"""Faults after which no more are looked for."""
FORMS = ("%+", "%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M")
"""Forms of a time written as text."""
TIME_FIX = "write a timestamp, a date, seconds since 1970 or 2026-11-30T12:00:00 (UTC); empty = after everything"


@dataclass(frozen=True)
class RowColumns:
    """Names of the columns of the rows; None = the usual name, or the one of the events in knowflow.yaml."""

    user: str | None = None
    """Id of the user."""
    item: str | None = None
    """Id of the item."""
    time: str | None = None
    """Moment of the row; without such a column, and where it is null, the row comes after everything."""


@dataclass(frozen=True)
class RowReader:
    """Reads ids and times of rows."""

    columns: dict[str, str]
    """user, item, time -> name of the column; those that are read."""
    time_format: str | None
    """How times are written as text."""
    earliest: date | None
    """A time before this day is a fault; None = any day."""

    def keys(self, frame: pl.DataFrame) -> Keys:
        """Read the ids and times of rows that have no fault."""
        ids = {role: _ids(frame[name]) for role, name in self.columns.items() if role != "time"}
        return Keys(ids.get("user"), ids.get("item"), self._microseconds(frame))

    def checked(self, empty: pl.DataFrame) -> list[str]:
        """Return the columns of which single values can be wrong: whole numbers and texts are ids anyway."""
        return [name for role, name in self.columns.items() if role == "time" or _plain(empty[name]).dtype.is_float()]

    def faults(self, frame: pl.DataFrame, file: str, first: int) -> Iterator[Fault]:
        """Yield what is wrong with single rows.

        Args:
            frame: The rows.
            file: Name of the file, for messages.
            first: Number of its first row, from 1.
        """
        for role, name in self.columns.items():
            if name not in frame.columns:  # not `checked`
                continue
            column = _plain(frame[name])
            if role != "time":
                wrong, what, fix = _broken_id(column), f"is no id of a {role}", "write whole numbers, or text"
                yield from _row_faults(column, wrong, file, name, first, what, fix)
                continue
            times = _times(column, self.time_format)
            wrong = times.is_null() & column.is_not_null()
            yield from _row_faults(column, wrong, file, name, first, "is not a time", TIME_FIX)
            if self.earliest is not None:
                early = (times < datetime.combine(self.earliest, time())).fill_null(value=False)
                what = f"is before {self.earliest:%Y-%m-%d} when read as a time"
                fix = f"{TIME_FIX}; or set events.earliest in knowflow.yaml"
                yield from _row_faults(column, early, file, name, first, what, fix)

    def _microseconds(self, frame: pl.DataFrame) -> np.ndarray:
        if "time" not in self.columns:
            return np.full(len(frame), LIVE, dtype=np.int64)
        return _times(frame[self.columns["time"]], self.time_format).to_physical().fill_null(LIVE).to_numpy()


def find_columns(
    config: Config,
    columns: RowColumns,
    empty: pl.DataFrame,
    roles: Collection[str],
    added: Iterable[str],
    file: str,
    choice: str = "",
) -> tuple[RowReader, list[Fault]]:
    """Find the columns of some rows, and what is wrong with them.

    Args:
        config: The config.
        columns: Their names.
        empty: The rows' columns and types.
        roles: The ids that are needed: `user`, `item` or both.
        added: Names of the columns that will be added.
        file: Name of the file, for messages.
        choice: Options that choose what is added, for messages; empty if there is no choice.
    """
    events = config.source.events
    time_in_log = None if isinstance(events.time, RowOrder) else events.time
    usual = {"user": events.user, "item": events.item, "time": time_in_log}
    found: dict[str, str] = {}
    faults: list[Fault] = []
    for role, in_log in usual.items():
        named = getattr(columns, role)
        candidates = [named] if named is not None else [role, *([in_log] if in_log else [])]
        there = next((name for name in candidates if name in empty.columns), None)
        if there is not None and (role == "time" or role in roles):
            found[role] = there
            faults += _wrong_type(empty[there], role, file)
            if role == "time" and time_in_log is None:
                what = "holds times, and the log has none to compare them with: events.time is row_order"
                fix = "leave this column out, or rename it: without a time, a row comes after everything"
                faults.append(Fault(file, None, there, None, what, fix))
        elif there is None and (named is not None or role in roles):
            what = f"is missing; there are: {', '.join(empty.columns)}"
            fix = f"name it: --{role}-column NAME"
            fix += f"; or leave out what is about a {role}: {choice}" if choice and role != "time" else ""
            faults.append(Fault(file, None, candidates[0], None, what, fix))
    for name in added:
        if name in empty.columns:
            fix = "rename it in your rows" + (f", or choose other columns: {choice}" if choice else "")
            faults.append(Fault(file, None, name, None, "is also the name of a column that is added", fix))
    return RowReader(found, events.time_format, None if time_in_log is None else events.earliest), faults


def undated(count: int) -> str:
    """Say what rows without a time see.

    Example:
        >>> undated(1)
        '1 row without a time: after everything, so they see all that is known'
    """
    return f"{count_rows(count)} without a time: after everything, so they see all that is known"


def warn_undated(reader: RowReader, rows: pl.DataFrame) -> None:
    """Warn, as a command does, of rows without a column of times: its name may be misspelt."""
    if "time" not in reader.columns:
        fix = f"if one of {', '.join(rows.columns)} holds their times, name it: time_column"
        warnings.warn(f"rows: {undated(len(rows))}\n  {fix}", stacklevel=4)


def check_rows(reader: RowReader, chunks: Iterable[pl.DataFrame], file: str) -> None:
    """Check all rows, before anything is written.

    Raises:
        WrongUse: With all their faults, at most a thousand.
    """
    faults: list[Fault] = []
    first = 1
    for chunk in chunks:
        faults += reader.faults(chunk, file, first)
        first += len(chunk)
        if len(faults) >= MOST:
            break
    if faults:
        alike = sorted(faults, key=lambda fault: (fault.column or "", fault.what))
        raise WrongUse(faults_text(alike, "nothing was written", skippable=False))


def _wrong_type(column: pl.Series, role: str, file: str) -> list[Fault]:
    kind = column.dtype
    text = isinstance(kind, pl.String | pl.Categorical | pl.Enum | pl.Null)
    fits = text or kind.is_numeric() or (role == "time" and isinstance(kind, pl.Datetime | pl.Date))
    if fits:
        return []
    word, fix = ("time", TIME_FIX) if role == "time" else ("id", "write whole numbers, or text")
    return [Fault(file, None, column.name, None, f"holds {kind}, which is no {word}", fix)]


def _ids(column: pl.Series) -> pl.Series:
    """Return ids as the data holds them: text; a whole float without its `.0`, as of a table with a missing id."""
    column = _plain(column)
    return (column.cast(pl.Int64, strict=False) if column.dtype.is_float() else column).cast(pl.String)


def _broken_id(column: pl.Series) -> pl.Series:
    if not column.dtype.is_float():
        return pl.repeat(False, len(column), dtype=pl.Boolean, eager=True)
    whole = column.cast(pl.Int64, strict=False).cast(column.dtype)
    return column.is_not_null() & (whole != column).fill_null(value=True)


def _plain(column: pl.Series) -> pl.Series:
    """Return the column with null for NaN; decimals with a scale as floats, others as text, as the data holds them."""
    if isinstance(column.dtype, pl.Decimal):
        return column.cast(pl.Float64 if column.dtype.scale else pl.String)
    return column.fill_nan(None) if column.dtype.is_float() else column


def _times(column: pl.Series, form: str | None) -> pl.Series:
    """Read times, each by itself: whatever chunk it is in, it means the same."""
    kind = column.dtype
    if isinstance(kind, pl.Datetime):
        in_utc = column.dt.convert_time_zone("UTC") if kind.time_zone else column
        return in_utc.dt.replace_time_zone(None).dt.cast_time_unit("us")
    if isinstance(kind, pl.Date):
        return column.cast(pl.Datetime("us"))
    if kind.is_numeric():
        return _since_1970(column)
    text = column.cast(pl.String).str.strip_chars()
    numbers = text if form is None else text.clear(len(text))  # a form says how every text is written
    found = _since_1970(numbers)
    for one in (form,) if form is not None else FORMS:
        if found.null_count() > text.null_count():
            found = found.fill_null(_of_form(text, one))
    if form is None and found.null_count() > text.null_count():
        found = found.fill_null(text.str.to_date("%Y-%m-%d", strict=False).cast(pl.Datetime("us")))
    return found


def _since_1970(column: pl.Series) -> pl.Series:
    return since_1970(column.cast(pl.Float64, strict=False)).dt.replace_time_zone(None)


def _of_form(text: pl.Series, form: str) -> pl.Series:
    zoned = form == "%+" or "%z" in form
    if not zoned and not any(sign in form for sign in ("%H", "%I", "%T", "%R", "%s")):
        return text.str.to_date(form, strict=False).cast(pl.Datetime("us"))
    zone = "UTC" if zoned else None
    return text.str.to_datetime(form, strict=False, time_unit="us", time_zone=zone).dt.replace_time_zone(None)


def _row_faults(
    column: pl.Series, wrong: pl.Series, file: str, name: str, first: int, what: str, fix: str
) -> Iterator[Fault]:
    for place in wrong.arg_true().head(MOST).to_list():
        yield Fault(file, first + place, name, str(column[place]), what, fix)
