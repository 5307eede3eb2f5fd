"""Reading files lazily: only the mapped columns, and everything that can be wrong with a file told as a fault."""

from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

import polars as pl

from sources.faults import Fault

ROW = "__row"
SUFFIXES = {".parquet": "Parquet", ".csv": "CSV", ".jsonl": "JSONL", ".ndjson": "JSONL"}


def read_columns(path: Path, columns: Sequence[str], section: str) -> tuple[pl.DataFrame | None, list[Fault]]:
    """Read some columns of a file, with the row each value stands in.

    Args:
        path: Parquet, CSV or JSONL file.
        columns: Columns to read; CSV columns come as text, so that a wrong value names its line.
        section: Section of knowflow.yaml that named the columns, for messages.

    Returns:
        The table with a column `__row` (row of a Parquet file, line of a text file), or None, and the faults.
    """
    if path.suffix.lower() not in SUFFIXES:
        return None, [_file(path, f"'{path.suffix}' is no known file type", "give a .parquet, .csv or .jsonl file")]
    if not path.is_file():
        return None, [_file(path, "there is no such file", f"mend {section}.path in knowflow.yaml")]
    try:
        lazy = _scan(path)
        there = lazy.collect_schema().names()
        missing = [column for column in dict.fromkeys(columns) if column not in there]
        if missing:
            return None, [_missing(path, column, there, section) for column in missing]
        first = 2 if path.suffix.lower() == ".csv" else 1  # a CSV file's first line is its header
        table = lazy.select(list(dict.fromkeys(columns))).with_row_index(ROW, offset=first).collect()
    except (pl.exceptions.PolarsError, OSError, UnicodeDecodeError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        return None, [
            _file(path, f"cannot be read as {SUFFIXES[path.suffix.lower()]}: {reason}", "mend or replace the file")
        ]
    if table.is_empty():
        return None, [_file(path, "holds no rows", "give a file with data")]
    return table, []


def _scan(path: Path) -> pl.LazyFrame:
    if path.suffix.lower() == ".parquet":
        return pl.scan_parquet(path)
    if path.suffix.lower() == ".csv":
        return pl.scan_csv(path, infer_schema=False)
    return pl.scan_ndjson(path, infer_schema_length=None)


def _file(path: Path, what: str, mend: str) -> Fault:
    return Fault(path.name, None, None, None, what, mend)


def _missing(path: Path, column: str, there: Sequence[str], section: str) -> Fault:
    close = get_close_matches(column, there, n=1, cutoff=0.5)
    hint = f"did you mean '{close[0]}'?" if close else f"there are: {', '.join(there)}"
    return Fault(
        path.name, None, column, None, f"is missing; {hint}", f"name the right column in knowflow.yaml under {section}"
    )
