"""Files of rows that a user gives and gets back: Parquet, CSV and JSON lines."""

import json
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, Literal

import polars as pl
import pyarrow.parquet as pq

from base.faults import WrongUse
from feature_store.parquet_chunks import check_distinct
from sources.faults import Fault, faults_text

NO_FILE, KIND = "there is no such file", "rows are read and written as {}"
HEADERS: dict[str, Callable[[Path], list[str]]] = {
    ".parquet": lambda path: pq.read_schema(path).names,
    ".csv": lambda path: [*map(str, pl.read_csv(path, has_header=False, n_rows=1, infer_schema=False).row(0))],
}
"""Read the names of the columns as they are written: readers of rows rename those that occur twice."""
READERS: dict[str, Callable[[Path], pl.DataFrame]] = {
    ".parquet": pl.read_parquet,
    ".csv": lambda path: pl.read_csv(path, infer_schema=False),  # ids stay as they are written: 007
    ".jsonl": lambda path: pl.read_ndjson(path, infer_schema_length=None),
}
WRITERS: dict[str, Callable[[pl.DataFrame, Path], object]] = {
    ".parquet": lambda frame, path: frame.write_parquet(path),
    ".csv": lambda frame, path: frame.write_csv(path),
    ".jsonl": lambda frame, path: frame.write_ndjson(path),
}


def read_rows(path: Path) -> pl.DataFrame:
    """Read a file of rows.

    Raises:
        WrongUse: It is missing, of another kind, or broken, or two of its columns share a name.
    """
    kind = _kind(path)
    if not path.is_file():
        raise WrongUse(f"{path}: {NO_FILE}\n  fix the path of --rows")
    try:
        if kind in HEADERS:
            check_distinct(HEADERS[kind](path), str(path))
        else:
            check_keys(path)
        return READERS[kind](path)
    except WrongUse:
        raise
    except (pl.exceptions.PolarsError, ValueError) as error:
        raise WrongUse(f"{path}: cannot be read: {str(error).splitlines()[0]}\n  write the file again") from None


def check_keys(path: Path) -> None:
    """Check that no object of a file of JSON lines has a key twice.

    Raises:
        WrongUse: With the lines on which one has.
        ValueError: A line is not JSON.
    """
    several: list[str] = []

    def pairs(found: list[tuple[str, Any]]) -> None:
        several.extend(name for name, count in Counter(name for name, _ in found).items() if count > 1)

    faults: list[Fault] = []
    read = json.JSONDecoder(object_pairs_hook=pairs).decode
    with path.open(encoding="utf-8-sig") as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                read(line.strip())
            faults += [Fault(str(path), number, name, None, "is there several times", "keep one") for name in several]
            several.clear()
    if faults:
        raise WrongUse(faults_text(faults, "nothing was written", skippable=False))


def check_files(
    rows: Path,
    out: Path,
    example: str,
    kinds: Collection[str] = (),
    beside: Mapping[Path, Literal["file", "folder"]] | None = None,
) -> None:
    """Check that a file of rows is there and that another can be written, before the work is done.

    Args:
        rows: The file of rows.
        out: The file to write.
        example: A name for it, for the message.
        kinds: Suffixes that both can have; empty for any.
        beside: What else will be written, and what it is.

    Raises:
        WrongUse: With all that is wrong with them.
    """
    faults = [] if rows.is_file() else [Fault("--rows", None, None, None, f"{rows}: {NO_FILE}", "fix the path")]

    def add(what: str, fix: str) -> None:
        faults.append(Fault("--out", None, None, None, what, fix))

    if out.is_dir():
        add(f"{out} is a folder", f"give a file in it: {out / example}")
    elif out.exists() and rows.exists() and out.samefile(rows):
        add(f"{out} is the file of the rows", "give another file")
    if kinds and out.suffix.lower() not in kinds and not out.is_dir():
        add(f"{out}: {KIND.format(', '.join(kinds))}", f"give another name, such as {out.with_suffix('.parquet')}")
    if not out.parent.is_dir():
        add(f"there is no folder {out.parent}", "make it first, or give another file")
    for path, kind in (beside or {}).items():
        if path.exists() and path.is_dir() != (kind == "folder"):
            add(f"{path}, to be written beside it, is not a {kind}", "move it away, or give another file")
    if faults:
        raise WrongUse(faults_text(faults, "nothing was written", skippable=False))


def write_rows(frame: pl.DataFrame, path: Path) -> None:
    """Write a file of rows so that a kill leaves the old file or the new one."""
    half = path.with_name(f".{path.name}.half")
    WRITERS[_kind(path)](frame, half)
    half.replace(path)


def _kind(path: Path) -> str:
    kind = path.suffix.lower()
    if kind not in READERS:
        raise WrongUse(f"{path}: {KIND.format(', '.join(READERS))}\n  convert the file to Parquet")
    return kind
