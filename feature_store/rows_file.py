"""Tables of rows on disk, in chunks: Parquet in, Parquet out, at a memory that does not grow with the rows."""

import io
import os
from collections.abc import Iterator, Mapping
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
HANDED = 64 << 20
"""Bytes after which pages are handed back."""
Compression = Literal["uncompressed", "lz4", "snappy", "zstd"]
"""How pages are compressed. Vectors hardly become smaller and take longer: docs/benchmarks.md."""


def open_rows(file: Path) -> pq.ParquetFile:
    """Open a Parquet file.

    Raises:
        WrongUse: There is no such file, or it is not Parquet.
    """
    if not file.is_file():
        raise WrongUse(f"{file}: there is no such file\n  give a Parquet file of user, item and time")
    try:
        return pq.ParquetFile(file)
    except (pa.ArrowInvalid, OSError):
        fix = "write it as Parquet: polars.read_csv(FILE).write_parquet('rows.parquet')"
        raise WrongUse(f"{file}: is not a Parquet file\n  {fix}") from None


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
        with Handed(made) as file:
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


class Handed(io.RawIOBase):
    """A file to write whose pages are handed back to the system as it grows.

    Otherwise a file of many gigabytes pushes everything else out of memory, and getting fresh pages for it takes longer
    than all of the work.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
        self._size, self._handed = 0, 0

    def writable(self) -> bool:
        """Return whether it can be written."""
        return True

    def write(self, data: Any, /) -> int:
        """Write all of the data."""
        left = memoryview(data).cast("B")
        count = len(left)
        while left:
            left = left[os.write(self._file, left) :]
        self._size += count
        if self._size - self._handed > HANDED and hasattr(os, "posix_fadvise"):
            os.posix_fadvise(self._file, 0, self._size, os.POSIX_FADV_DONTNEED)  # of what is on the disk already
            self._handed = self._size
        return count

    def close(self) -> None:
        """Close the file."""
        if not self.closed:
            os.close(self._file)
        super().close()
