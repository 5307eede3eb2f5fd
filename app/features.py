"""Features of any rows from a release, for a team's own training job: in memory, or from file to file."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl

from app.config import Config
from app.feature_choice import FeatureChoice
from app.feature_rows import RowColumns, RowReader, check_rows, row_reader
from app.feature_schema import RELEASE, write_schema
from app.feature_sources import feature_sources, half, indexed
from app.workplace import open_store
from base.faults import WrongUse
from base.progress import Progress, silent
from feature_store.entity_table import write_entities
from feature_store.features import Joiner, Source
from feature_store.releases import Release, get_release
from feature_store.rows_file import WRITTEN, Compression, empty_frame, open_rows, read_chunks, write_chunks
from feature_store.timeline import LIVE

EVERYTHING = FeatureChoice()
USUAL = RowColumns()
FRAME = "rows"
"""What a frame is called in messages."""


@dataclass(frozen=True)
class FeatureFile:
    """Features that were written."""

    file: Path
    """The rows with their features."""
    schema_file: Path
    """What each column means."""
    tables: Path | None
    """Folder of the tables of vectors, where rows hold numbers of vectors."""
    release: str
    """The release they come from."""
    rows: int
    """Number of rows."""
    live: int
    """Rows without a time, which see everything."""
    known: dict[str, int]
    """Feature -> rows for which something was known."""


@dataclass
class Counts:
    """What is counted on the way."""

    rows: int = 0
    """Rows so far."""
    live: int = 0
    """Those without a time."""
    known: dict[str, int] = field(default_factory=dict)
    """Source -> those for which something was known."""


def features_of(
    config: Config,
    frame: pl.DataFrame,
    release: str | None = None,
    choice: FeatureChoice = EVERYTHING,
    columns: RowColumns = USUAL,
) -> pl.DataFrame:
    """Add to rows what a release knew of their users and items strictly before their times.

    Args:
        config: The config.
        frame: The rows: user, item, time (null or missing = after everything), and any other columns.
        release: Name of a release; None = the current one.
        choice: Which features.
        columns: Names of the columns.

    Returns:
        The rows, all of them, in their order, with the features after their own columns.

    Raises:
        WrongUse: With everything that is wrong with the rows or the choice.
        NoRelease: There is no such release.
    """
    store = open_store(config)
    chosen = get_release(store, release)
    sources = feature_sources(store, chosen, choice)
    joiner = _joiner([half(one) for one in sources] if choice.half else sources, chosen)
    reader = row_reader(config, columns, frame.clear(), joiner.roles, [*joiner.schema, RELEASE], FRAME)
    check_rows(reader, [frame], FRAME)
    return pl.concat(_joined(joiner, reader, frame, chosen.name, Counts()))


def make_features(
    config: Config,
    rows: Path,
    out: Path,
    release: str | None = None,
    choice: FeatureChoice = EVERYTHING,
    columns: RowColumns = USUAL,
    compression: Compression = "uncompressed",
    progress: Progress = silent,
) -> FeatureFile:
    """Write the features of a Parquet file of rows, in chunks, so that memory does not grow with the rows.

    Args:
        config: The config.
        rows: The Parquet file of rows: user, item, time, and any other columns.
        out: The Parquet file to write, and its schema file beside it.
        release: Name of a release; None = the current one.
        choice: Which features.
        columns: Names of the columns.
        compression: How the pages of the file are compressed.
        progress: Called with the rows that are done.

    Raises:
        WrongUse: With everything that is wrong with the rows or the choice; nothing was written.
        NoRelease: There is no such release.
        CheckFailed: The disk rejected a write; nothing was written.
    """
    if out.exists() and out.samefile(rows):
        raise WrongUse(f"--out: {out} is the file of the rows\n  give another file")
    if not out.parent.is_dir():
        raise WrongUse(f"--out: there is no folder {out.parent}\n  make it first, or give another file")
    file, store = open_rows(rows), open_store(config)
    chosen = get_release(store, release)
    whole = [half(one) if choice.half else one for one in feature_sources(store, chosen, choice)]
    sources = [indexed(one) for one in whole] if choice.indexed else whole
    joiner, empty = _joiner(sources, chosen), empty_frame(file)
    reader = row_reader(config, columns, empty, joiner.roles, [*joiner.schema, RELEASE], rows.name)
    check_rows(reader, read_chunks(file, [*reader.columns.values()]), rows.name)
    counts, total = Counts(), file.metadata.num_rows
    types = {**empty.schema, **joiner.schema, RELEASE: pl.String()}

    def chunks() -> Iterator[pl.DataFrame]:
        for chunk in read_chunks(file):
            yield from _joined(joiner, reader, chunk, chosen.name, counts)
            progress("features", counts.rows, total)

    tables = _write_tables(whole, out) if choice.indexed else None
    write_chunks(out, types, chunks(), compression, {"knowflow_release": chosen.name})
    known = {column.name: counts.known.get(one.name, 0) for one in sources for column in one.columns}
    described = write_schema(out, chosen, sources, types, empty.columns, counts.rows, known)
    return FeatureFile(out, described, tables, chosen.name, counts.rows, counts.live, known)


def _joiner(sources: Sequence[Source], release: Release) -> Joiner:
    return Joiner(sources, int(release.created_at.timestamp() * 1e6))


def _joined(
    joiner: Joiner, reader: RowReader, rows: pl.DataFrame, release: str, counts: Counts
) -> Iterator[pl.DataFrame]:
    """Yield the rows with their features, a few thousand at a time."""
    keys = reader.keys(rows)
    places = joiner.places(keys)
    counts.rows += len(rows)
    counts.live += int((keys.time == LIVE).sum())
    for name, place in places.items():
        counts.known[name] = counts.known.get(name, 0) + int((place >= 0).sum())
    for start in range(0, max(len(rows), 1), WRITTEN):  # of no rows, the columns
        part = slice(start, start + WRITTEN)
        taken = joiner.columns({name: place[part] for name, place in places.items()}, keys.time[part])
        yield rows[part].with_columns(*taken, pl.lit(release).alias(RELEASE))


def _write_tables(sources: Sequence[Source], out: Path) -> Path:
    """Write the vectors that rows refer to, in the folder `NAME.tables` beside the file."""
    folder = out.with_name(f"{out.stem}.tables")
    folder.mkdir(exist_ok=True)
    for source in sources:
        for column in source.columns:
            if isinstance(column.values, np.ndarray):
                write_entities(folder / f"{column.name}.parquet", source, column)
    return folder
