"""Read only the mapped columns of files, and report everything that is wrong with a file as a fault."""

import glob
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
from pyarrow import csv as arrow_csv

from sources.faults import Fault
from sources.records import CODING, LONG, SHORT, Broken, count_lines, csv_records, is_text, jsonl_records

SUFFIXES = {".parquet": "Parquet", ".csv": "CSV", ".jsonl": "JSONL", ".ndjson": "JSONL"}
SEPARATORS = ";\t|"
NO_ROWS = Broken("holds no rows", "use a file with data")


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


def read_columns(path: Path, columns: Sequence[str], name: str, section: str) -> tuple[Raw | None, list[Fault]]:
    """Read some columns of a file, with the row of each value.

    Args:
        path: Parquet, CSV or JSONL file.
        columns: Columns to read; missing ones are ignored. CSV columns are read as text, so a wrong value has a line.
        name: Name of the file in messages.
        section: Section of knowflow.yaml that names the file, for messages.

    Returns:
        The content, or None and the faults of the file as a whole.
    """
    raw = _whole(path, list(dict.fromkeys(columns)), section)
    if isinstance(raw, Broken):
        return None, [Fault(name, None, None, None, raw.what, raw.fix)]
    return raw, []


def _whole(path: Path, wanted: list[str], section: str) -> Raw | Broken:
    kind = SUFFIXES.get(path.suffix.lower())
    if kind is None:
        return Broken(f"'{path.suffix}' is not a supported file type", "use a .parquet, .csv or .jsonl file")
    if not path.is_file():
        return Broken("there is no such file", f"fix {section}.path in knowflow.yaml")
    try:
        if path.stat().st_size == 0:
            return NO_ROWS
        raw = {"Parquet": _parquet, "CSV": _csv, "JSONL": _jsonl}[kind](path, wanted)
    except (pl.exceptions.PolarsError, pa.ArrowException, OSError, UnicodeError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        return Broken(f"cannot be read as {kind}: {reason}", "fix or replace the file")
    return NO_ROWS if isinstance(raw, Raw) and raw.rows.is_empty() and not raw.broken else raw


def _parquet(path: Path, wanted: list[str]) -> Raw:
    lazy = pl.scan_parquet(path, glob=False, hive_partitioning=False)
    there = lazy.collect_schema().names()
    table = lazy.select(_known(wanted, there) or there[:1]).collect()
    return Raw(table, numbered(1, len(table)), tuple(there))


def _csv(path: Path, wanted: list[str]) -> Raw | Broken:
    """Read the whole file at once if every record is one line, else record by record."""
    line, header = next(csv_records(path), (1, []))
    if isinstance(header, Broken):
        return header
    if not header:
        return Raw(pl.DataFrame(), numbered(1, 0), ())
    if any("\0" in name for name in header):
        return CODING
    if len(header) == 1 and header[0] not in wanted and (found := [mark for mark in SEPARATORS if mark in header[0]]):
        return Broken(f"has one column, its fields seem to be separated by {found[0]!r}", "separate them with commas")
    there = [name if is_text(name) else name.encode("utf-8", "replace").decode() for name in header]
    twice = [name for name, count in Counter(header).items() if count > 1 and name in wanted]
    spoiled = dict.fromkeys(twice, "appears more than once in the header")
    places = {name: header.index(name) for name in _known(wanted, header) if name not in spoiled}
    one_line = not any(mark in name for name in header for mark in "\r\n")
    table = _csv_at_once(path, len(header), list(places.values()) or [0], line) if one_line else None
    if table is not None and len(table) == count_lines(path) - line:
        renamed = table.rename({str(place): name for name, place in places.items()})
        return Raw(renamed, numbered(line + 1, len(renamed)), tuple(there), (), spoiled)
    return _csv_by_record(path, places, there, spoiled)


def _csv_at_once(path: Path, width: int, places: list[int], header_line: int) -> pl.DataFrame | None:
    """Read the columns at some positions, named by position; None if a record has another shape."""
    names = [str(place) for place in range(width)]
    try:
        table = arrow_csv.read_csv(
            path,
            arrow_csv.ReadOptions(column_names=names, skip_rows=header_line, block_size=2**24),
            arrow_csv.ParseOptions(newlines_in_values=True),
            arrow_csv.ConvertOptions(
                include_columns=[str(place) for place in places],
                column_types=dict.fromkeys(names, pa.large_string()),
                strings_can_be_null=True,
                null_values=[""],
            ),
        )
    except pa.ArrowException:
        return None
    return pl.DataFrame(table)


def _csv_by_record(path: Path, places: Mapping[str, int], there: list[str], spoiled: Mapping[str, str]) -> Raw:
    lines: list[int] = []
    broken: list[tuple[int, Broken]] = []
    columns: dict[str, list[str | None]] = {name: [] for name in places}
    records = csv_records(path)
    next(records, None)
    for line, fields in records:
        fault = fields if isinstance(fields, Broken) else _shape(fields, len(there), places)
        if fault or isinstance(fields, Broken):
            broken.append((line, fault or CODING))
            continue
        lines.append(line)
        for name, place in places.items():
            columns[name].append(fields[place] or None)
    table = pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.String))
    return Raw(table, pl.Series(lines, dtype=pl.Int64), tuple(there), tuple(broken), spoiled)


def _shape(fields: list[str], width: int, places: Mapping[str, int]) -> Broken | None:
    if len(fields) != width:
        return LONG if len(fields) > width else SHORT
    return None if all(is_text(fields[place]) for place in places.values()) else CODING


def _jsonl(path: Path, wanted: list[str]) -> Raw:
    """Read the whole file at once if every line is an object and no column mixes types, else line by line."""
    try:
        lazy = pl.scan_ndjson(glob.escape(str(path)), infer_schema_length=None)
        there = lazy.collect_schema().names()
        table = lazy.select(_known(wanted, there) or there[:1]).collect()
    except pl.exceptions.PolarsError:
        return _jsonl_by_record(path, wanted)
    if any(_may_mix(column) for column in table.get_columns()) or len(table) != count_lines(path):
        return _jsonl_by_record(path, wanted)
    return Raw(table, numbered(1, len(table)), tuple(there))


def _may_mix(column: pl.Series) -> bool:
    """Return whether a text could be JSON of a list or object: polars reads one as such in a column of texts."""
    parts = column.explode() if isinstance(column.dtype, pl.List) else column
    return isinstance(parts.dtype, pl.String) and bool(parts.str.contains(r"^\s*[\[{]").any())


def _jsonl_by_record(path: Path, wanted: list[str]) -> Raw:
    lines: list[int] = []
    broken: list[tuple[int, Broken]] = []
    there: dict[str, None] = {}
    values: dict[str, list[Any]] = {name: [] for name in wanted}
    for line, record in jsonl_records(path):
        if isinstance(record, Broken):
            broken.append((line, record))
            continue
        lines.append(line)
        there.update(dict.fromkeys(record))
        for name in wanted:
            values[name].append(record.get(name))
    columns: dict[str, pl.Series] = {}
    spoiled: dict[str, str] = {}
    for name in _known(wanted, list(there)):
        kinds = {type(value) for value in values[name] if value is not None}
        parts = {type(part) for value in values[name] if isinstance(value, list) for part in value}
        if dict in kinds | parts or list in parts or (list in kinds and len(kinds) > 1):
            spoiled[name] = "holds objects, or lists in some lines and single values in others"
        else:
            columns[name] = _series(values[name], kinds)
    return Raw(pl.DataFrame(columns), pl.Series(lines, dtype=pl.Int64), tuple(there), tuple(broken), spoiled)


def _series(values: list[Any], kinds: set[type]) -> pl.Series:
    if list in kinds:
        return pl.Series(
            [None if value is None else [None if part is None else _shown(part) for part in value] for value in values],
            dtype=pl.List(pl.String),
        )
    if kinds <= {int, float} and not any(isinstance(value, int) and abs(value) >= 2**53 for value in values):
        return pl.Series(values, dtype=pl.Float64 if float in kinds else pl.Int64, strict=False)
    if kinds == {bool}:
        return pl.Series(values, dtype=pl.Boolean)
    return pl.Series([None if value is None else _shown(value) for value in values], dtype=pl.String)


def _shown(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _known(wanted: Sequence[str], there: Sequence[str]) -> list[str]:
    return [column for column in wanted if column in there]


def numbered(first: int, count: int) -> pl.Series:
    """Return consecutive row numbers: [count] Int64."""
    return pl.int_range(first, first + count, dtype=pl.Int64, eager=True)
