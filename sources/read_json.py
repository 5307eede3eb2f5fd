"""Read JSON lines: all at once where the types of a column agree, else line by line."""

import glob
from pathlib import Path
from typing import Any

import polars as pl
import polars.selectors as cs

from sources.nested import MISSING, Paths, beginnings, columns_at, paths, value_at
from sources.raw import Raw, known, numbered
from sources.records import Broken, count_lines, jsonl_records


def read_jsonl(path: Path, wanted: list[str]) -> Raw:
    """Read the whole file at once if every line is an object and no column mixes types, else line by line."""
    try:
        lazy = pl.scan_ndjson(glob.escape(str(path)), infer_schema_length=None)
        schema = lazy.collect_schema()
        there = paths(schema, wanted)
        table = lazy.select(columns_at(schema, known(wanted, there)) or pl.nth(0)).collect()
        hiding = [name for path in wanted if path not in there for name in beginnings(path) if name in schema]
        suspects = lazy.select(cs.by_name(hiding)).collect() if hiding else pl.DataFrame()
    except pl.exceptions.PolarsError:
        return _jsonl_by_record(path, wanted)
    judged = [*table.get_columns(), *suspects.get_columns()]
    if any(_may_mix(column.alias("")) for column in judged) or len(table) != count_lines(path):
        return _jsonl_by_record(path, wanted)
    return Raw(table, numbered(1, len(table)), there)


def _may_mix(column: pl.Series) -> bool:
    """Return whether a text could be JSON of a list or object: polars reads one as such in a column of texts."""
    parts = column.explode() if isinstance(column.dtype, pl.List) else column
    return isinstance(parts.dtype, pl.String) and bool(parts.str.contains(r"^\s*[\[{]").any())


def _jsonl_by_record(path: Path, wanted: list[str]) -> Raw:
    lines: list[int] = []
    broken: list[tuple[int, Broken]] = []
    there = Paths()
    values: dict[str, list[Any]] = {name: [] for name in wanted}
    inner: dict[str, list[Any]] = {name: [] for name in wanted if "." in name}
    for line, record in jsonl_records(path):
        if isinstance(record, Broken):
            broken.append((line, record))
            continue
        lines.append(line)
        there.add(record)
        for name in wanted:
            values[name].append(record.get(name))
        for name, found in inner.items():
            found.append(value_at(record, name))
    by_path = [name for name, found in inner.items() if any(value is not MISSING and value != [] for value in found)]
    by_path = [name for name in by_path if not there.has(name)]
    values |= {name: [None if value is MISSING else value for value in inner[name]] for name in by_path}
    names = tuple(dict.fromkeys((*there.names(), *by_path, *(name for name in wanted if there.has(name)))))
    columns: dict[str, pl.Series] = {}
    spoiled: dict[str, str] = {}
    for name in known(wanted, names):
        kinds = {type(value) for value in values[name] if value is not None}
        parts = {type(part) for value in values[name] if isinstance(value, list) for part in value}
        if dict in kinds | parts or list in parts or (list in kinds and len(kinds) > 1):
            spoiled[name] = "holds objects, or lists in some lines and single values in others"
        else:
            columns[name] = _series(values[name], kinds)
    return Raw(pl.DataFrame(columns), pl.Series(lines, dtype=pl.Int64), names, tuple(broken), spoiled)


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
