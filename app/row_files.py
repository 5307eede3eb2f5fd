"""Files of rows that a user gives and gets back: Parquet, CSV and JSON lines."""

from collections.abc import Callable
from pathlib import Path

import polars as pl

from base.faults import WrongUse

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
        WrongUse: It is missing, of another kind, or broken.
    """
    read = READERS[_kind(path)]
    if not path.is_file():
        raise WrongUse(f"{path}: there is no such file\n  fix the path of --rows")
    try:
        return read(path)
    except (pl.exceptions.PolarsError, ValueError) as error:
        raise WrongUse(f"{path}: cannot be read: {str(error).splitlines()[0]}\n  write the file again") from None


def check_output(path: Path) -> None:
    """Check that a file of rows can be written there, before the work is done.

    Raises:
        WrongUse: The folder is missing, it is a folder itself, or the file is of another kind.
    """
    if path.is_dir():
        raise WrongUse(f"{path}: is a folder\n  give a file in it: {path / 'rows.parquet'}")
    _kind(path)
    if not path.parent.is_dir():
        raise WrongUse(f"{path}: there is no folder {path.parent}\n  make it, or fix the path of --out")


def write_rows(frame: pl.DataFrame, path: Path) -> None:
    """Write a file of rows so that a kill leaves the old file or the new one."""
    half = path.with_name(f".{path.name}.half")
    WRITERS[_kind(path)](frame, half)
    half.replace(path)


def _kind(path: Path) -> str:
    kind = path.suffix.lower()
    if kind not in READERS:
        raise WrongUse(f"{path}: rows are read and written as {', '.join(READERS)}\n  convert the file to Parquet")
    return kind
