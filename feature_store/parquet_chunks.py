"""Tables of rows on disk, in chunks: Parquet in, Parquet out, at a memory that does not grow with the rows."""

import errno
import fcntl
import io
import mmap
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from polars.io.plugins import register_io_source

from base.faults import CheckFailed, WrongUse
from feature_store.disk import reason_of

ROWS = 262_144
"""Rows that are read at once."""
WRITTEN = 16_384
"""Rows that are written at once: 25 MB of a vector of 384."""
BLOCK = 8 << 20
"""Bytes that are written at once."""
DIRECT = getattr(os, "O_DIRECT", 0)
"""Writes past the system's memory for files; not on every system."""
Compression = Literal["uncompressed", "lz4", "snappy", "zstd"]
"""How pages are compressed. Vectors hardly become smaller and take longer: docs/benchmarks.md."""


def open_rows(file: Path) -> pq.ParquetFile:
    """Open a Parquet file.

    Raises:
        WrongUse: There is no such file, it is not Parquet, or two of its columns share a name.
    """
    if not file.is_file():
        raise WrongUse(f"{file}: there is no such file\n  give a Parquet file of user, item and time")
    try:
        opened = pq.ParquetFile(file)
    except (pa.ArrowInvalid, OSError):
        fix = "write it as Parquet: polars.read_csv(FILE).write_parquet('rows.parquet')"
        raise WrongUse(f"{file}: is not a Parquet file\n  {fix}") from None
    check_distinct(opened.schema_arrow.names, str(file))
    return opened


def check_distinct(names: Iterable[str], rows: str) -> None:
    """Check that no two columns have the same name.

    Args:
        names: Of the columns.
        rows: What the rows are called in messages.

    Raises:
        WrongUse: With all names that occur several times.
    """
    several = ", ".join(f"{name!r} ({count} times)" for name, count in Counter(names).items() if count > 1)
    if several:
        raise WrongUse(f"{rows}: columns share a name: {several}\n  rename them, or leave all but one out")


def empty_frame(file: pq.ParquetFile) -> pl.DataFrame:
    """Return no rows, with the columns and types that `read_chunks` yields."""
    return pl.DataFrame(pl.from_arrow(file.schema_arrow.empty_table()))


def read_chunks(file: pq.ParquetFile, columns: list[str] | None = None, rows: int = ROWS) -> Iterator[pl.DataFrame]:
    """Yield the rows in their order, `rows` at a time; all columns, or some."""
    for batch in file.iter_batches(batch_size=rows, columns=columns):
        yield pl.DataFrame(pl.from_arrow(pa.Table.from_batches([batch])))


def write_chunks(
    out: Path,
    schema: Mapping[str, pl.DataType],
    chunks: Iterator[pl.DataFrame],
    compression: Compression = "uncompressed",
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write rows as they come, in their order, to a Parquet file: whole, or not at all.

    Args:
        out: The file; an older one is replaced at the end.
        schema: Names and types of its columns.
        chunks: The rows.
        compression: How pages are compressed.
        metadata: What the file says of itself.

    Raises:
        CheckFailed: The disk rejected a write.
    """
    made = out.with_name(f".{out.name}.{os.getpid()}")
    faults: list[Exception] = []

    def source(*_: object) -> Iterator[pl.DataFrame]:
        try:
            yield from chunks
        except Exception as error:  # Polars would wrap it
            faults.append(error)
            raise

    rows = register_io_source(source, schema=pl.Schema(schema), is_pure=False)
    try:
        with Beside(made) as file:
            # Statistics of vectors mean nothing, and would take as long as the vectors themselves.
            rows.sink_parquet(
                file,  # pyright: ignore[reportArgumentType] - it writes, which is all that Polars asks of it
                compression=compression,
                compression_level=1 if compression == "zstd" else None,
                statistics={"min": False, "max": False, "null_count": True, "distinct_count": False},
                row_group_size=WRITTEN,
                metadata=dict(metadata or {}),
            )
        made.replace(out)
    except Exception as error:
        if faults:
            raise faults[0] from None
        if (reason := reason_of(error)) is not None:
            raise CheckFailed(f"{out}: cannot be written: {reason}\n  free space, or write it elsewhere") from error
        raise
    finally:
        made.unlink(missing_ok=True)


class Beside(io.RawIOBase):
    """A file to write past the system's memory for files, where its file system allows that.

    A file of many gigabytes would push everything else out of that memory, and getting pages for it takes as long as
    all of the work.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self._file = _opened(path)
        self._block = mmap.mmap(-1, BLOCK)  # begins at a page, as such writes must
        self._filled = 0

    def writable(self) -> bool:
        """Return whether it can be written."""
        return True

    def write(self, data: Any, /) -> int:
        """Write all of the data, a block at a time."""
        left = memoryview(data).cast("B")
        count = len(left)
        while left:
            part = left[: BLOCK - self._filled]
            self._block[self._filled : self._filled + len(part)] = part
            self._filled, left = self._filled + len(part), left[len(part) :]
            if self._filled == BLOCK:
                self._empty()
        return count

    def close(self) -> None:
        """Write the rest, and close the file."""
        if not self.closed:
            try:
                if DIRECT:  # the rest is no whole number of pages
                    fcntl.fcntl(self._file, fcntl.F_SETFL, fcntl.fcntl(self._file, fcntl.F_GETFL) & ~DIRECT)
                self._empty()
            finally:
                os.close(self._file)
                super().close()

    def _empty(self) -> None:
        left = memoryview(self._block)[: self._filled]
        while left:
            left = left[os.write(self._file, left) :]
        self._filled = 0


def _opened(path: Path) -> int:
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    try:
        return os.open(path, flags | DIRECT, 0o666)
    except OSError as error:
        if error.errno != errno.EINVAL:  # what a file system answers that has no such writes
            raise
        return os.open(path, flags, 0o666)
