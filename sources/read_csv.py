"""Read text with delimited fields: the whole file at once if every record is one line, else record by record."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import polars as pl
import pyarrow as pa
from pyarrow import csv as arrow_csv

from sources.raw import Raw, known, numbered
from sources.records import CODING, LONG, SHORT, Broken, count_lines, csv_records, is_text
from sources.sniff import Form


def read_fields(path: Path, wanted: list[str], form: Form) -> Raw | Broken:
    """Read some columns as text.

    Args:
        path: The file, as UTF-8.
        wanted: Columns to read; missing ones are ignored.
        form: How the file is written.
    """
    line, header = next(_records(path, form), (1, []))
    if isinstance(header, Broken):
        return header
    if not header:
        return Raw(pl.DataFrame(), numbered(1, 0), ())
    if any("\0" in name for name in header):
        return CODING
    if form.names is not None:
        if len(form.names) != len(header):
            what = f"has {len(header)} columns, and `columns` names {len(form.names)}"
            return Broken(what, "name every column, in the order of the file")
        header = list(form.names)
    there = distinct([name if is_text(name) else name.encode("utf-8", "replace").decode() for name in header])
    places = {name: there.index(name) for name in known(wanted, there)}
    one_line = not any(mark in name for name in header for mark in "\r\n")
    before = line if form.header else line - 1
    table = _at_once(path, len(header), list(places.values()) or [0], before, form) if one_line else None
    comma = form.delimiter == ";"
    if table is not None and len(table) == count_lines(path) - before:
        renamed = table.rename({str(place): name for name, place in places.items()})
        return Raw(renamed, numbered(before + 1, len(renamed)), tuple(there), decimal_comma=comma)
    return _by_record(path, places, there, form)


def distinct(header: Sequence[str]) -> list[str]:
    """Give every column a name of its own: `name (2)` if the name was there before, `column_N` if it has none.

    A name that no other column has stays as it is.

    Example:
        >>> distinct(["user", "tag", "", "tag", "tag (2)"])
        ['user', 'tag', 'column_3', 'tag (3)', 'tag (2)']
    """
    taken = set(header)
    names: list[str] = []
    for place, own in enumerate(header, 1):
        name = own or f"column_{place}"
        if name in names or (not own and name in taken):
            news = (f"{name} ({count})" for count in itertools.count(2))
            name = next(new for new in news if new not in taken and new not in names)
        names.append(name)
    return names


def _records(path: Path, form: Form) -> Iterator[tuple[int, list[str] | Broken]]:
    return csv_records(path, form.mark, form.quoted, form.escaped)


def _at_once(path: Path, width: int, places: list[int], skipped: int, form: Form) -> pl.DataFrame | None:
    """Read the columns at some positions, named by position; None if a record has another shape."""
    names = [str(place) for place in range(width)]
    quotes = {"quote_char": '"' if form.quoted else False, "escape_char": "\\" if form.escaped else False}
    try:
        table = arrow_csv.read_csv(
            path,
            arrow_csv.ReadOptions(column_names=names, skip_rows=skipped, block_size=2**24),
            arrow_csv.ParseOptions(delimiter=form.mark, newlines_in_values=form.quoted, **quotes),
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


def _by_record(path: Path, places: Mapping[str, int], there: list[str], form: Form) -> Raw:
    lines: list[int] = []
    broken: list[tuple[int, Broken]] = []
    columns: dict[str, list[str | None]] = {name: [] for name in places}
    records = _records(path, form)
    if form.header:
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
    return Raw(
        table, pl.Series(lines, dtype=pl.Int64), tuple(there), tuple(broken), decimal_comma=form.delimiter == ";"
    )


def _shape(fields: list[str], width: int, places: Mapping[str, int]) -> Broken | None:
    if len(fields) != width:
        return LONG if len(fields) > width else SHORT
    return None if all(is_text(fields[place]) for place in places.values()) else CODING
