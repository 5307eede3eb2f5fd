"""Features of any rows from a release, for a team's own training job: in memory, or from file to file."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl

from app.computed_features import Computed, computed_features
from app.config import Config
from app.feature_choice import FeatureChoice
from app.feature_schema import RELEASE, schema_file, write_schema
from app.feature_sources import feature_sources, half, indexed
from app.given_rows import RowColumns, RowReader, check_rows, find_columns, warn_undated
from app.row_files import check_files
from app.workplace import open_dataset, open_store
from base.faults import WrongUse
from base.progress import Progress, silent
from feature_store.entity_table import write_entities
from feature_store.features import Joiner, Keys, Source
from feature_store.parquet_chunks import WRITTEN, Compression, empty_frame, open_rows, read_chunks, write_chunks
from feature_store.releases import Release, get_release
from feature_store.timeline import LIVE
from sources.faults import faults_text

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
    """Source, or computed feature -> those for which something was known."""

    def add(self, keys: Keys, known: Mapping[str, np.ndarray]) -> None:
        """Count some rows, of which something was known where a mask is true."""
        self.rows += len(keys.time)
        self.live += int((keys.time == LIVE).sum())
        for name, mask in known.items():
            self.known[name] = self.known.get(name, 0) + int(mask.sum())


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
    maker = _maker(config, release, choice, columns, frame.clear(), FRAME)
    check_rows(maker.reader, [frame], FRAME)
    warn_undated(maker.reader, frame)
    return pl.concat(maker.featured(frame, Counts()))


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
    beside: dict[Path, Literal["file", "folder"]] = {schema_file(out): "file"}
    if choice.indexed:
        beside[tables_folder(out)] = "folder"
    check_files(rows, out, "features.parquet", beside=beside)
    file = open_rows(rows)
    empty = empty_frame(file)
    maker = _maker(config, release, choice, columns, empty, rows.name)
    if checked := maker.reader.checked(empty):
        check_rows(maker.reader, read_chunks(file, checked), rows.name)
    counts, total = Counts(), file.metadata.num_rows
    types = {**empty.schema, **maker.schema}

    def chunks() -> Iterator[pl.DataFrame]:
        for chunk in read_chunks(file):
            yield from maker.featured(chunk, counts)
            progress("features", counts.rows, total)

    tables = _write_tables(maker.tables, out) if choice.indexed else None
    write_chunks(out, types, chunks(), compression, {"knowflow_release": maker.release.name})
    of_sources = {column.name: counts.known.get(one.name, 0) for one in maker.sources for column in one.columns}
    known = of_sources | {name: counts.known.get(name, 0) for name in maker.meanings}
    described = write_schema(
        out, maker.release, maker.sources, maker.meanings, types, empty.columns, counts.rows, known
    )
    return FeatureFile(out, described, tables, maker.release.name, counts.rows, counts.live, known)


@dataclass(frozen=True)
class Maker:
    """Makes features of rows that come in chunks."""

    release: Release
    """The release."""
    reader: RowReader
    """Reads ids and times."""
    joiner: Joiner
    """Joins what the release knows."""
    computed: Computed | None
    """Computes what adapters give."""
    tables: tuple[Source, ...]
    """The features with their vectors, also where rows hold numbers of vectors."""

    @property
    def sources(self) -> tuple[Source, ...]:
        """Return the features that are joined."""
        return self.joiner.sources

    @property
    def meanings(self) -> Mapping[str, str]:
        """Return the features that are computed, with what each is."""
        return self.computed.meanings if self.computed else {}

    @property
    def schema(self) -> dict[str, pl.DataType]:
        """Return the names and types of all columns that are added, in order."""
        return _added(self.joiner, self.computed)

    def featured(self, rows: pl.DataFrame, counts: Counts) -> Iterator[pl.DataFrame]:
        """Yield the rows with their features, a few thousand at a time."""
        keys = self.reader.keys(rows)
        places = self.joiner.places(keys)
        made = self.computed.columns(keys) if self.computed else []
        of_made = {one.name: one.is_not_null().to_numpy() for one in made}
        counts.add(keys, {name: place >= 0 for name, place in places.items()} | of_made)
        for start in range(0, max(len(rows), 1), WRITTEN):  # of no rows, the columns
            part = slice(start, start + WRITTEN)
            taken = self.joiner.columns({name: place[part] for name, place in places.items()}, keys.time[part])
            more = [one[part] for one in made]
            yield rows[part].with_columns(*taken, *more, pl.lit(self.release.name).alias(RELEASE))


def _added(joiner: Joiner, computed: Computed | None) -> dict[str, pl.DataType]:
    return {**joiner.schema, **(computed.schema if computed else {}), RELEASE: pl.String()}


def _maker(
    config: Config, release: str | None, choice: FeatureChoice, columns: RowColumns, empty: pl.DataFrame, file: str
) -> Maker:
    """Read what is wanted of a release, and find the columns of the rows."""
    store = open_store(config)
    chosen = get_release(store, release)
    tables = tuple(half(one) if choice.half else one for one in feature_sources(store, chosen, choice))
    sources = [indexed(one) for one in tables] if choice.indexed else tables
    joiner = Joiner(sources, int(chosen.created_at.timestamp() * 1e6))
    length, folds = config.source.history.length, config.train.folds
    load, plugins = partial(open_dataset, config), config.plugin_folders
    computed = computed_features(store, chosen, choice, load, folds, length, plugins)
    roles = dict.fromkeys([*joiner.roles, *(computed.roles if computed else ())])
    reader, faults = find_columns(config, columns, empty, roles, _added(joiner, computed), file, "--tasks, --columns")
    if faults:
        raise WrongUse(faults_text(faults, "nothing was written", skippable=False))
    return Maker(chosen, reader, joiner, computed, tables)


def tables_folder(out: Path) -> Path:
    """Return the folder of the tables of a file of features: `features.tables` of `features.parquet`."""
    return out.with_name(f"{out.stem}.tables")


def _write_tables(sources: Sequence[Source], out: Path) -> Path:
    """Write the vectors that rows refer to, in the folder `NAME.tables` beside the file."""
    folder = tables_folder(out)
    folder.mkdir(exist_ok=True)
    for source in sources:
        for column in source.columns:
            if isinstance(column.values, np.ndarray):
                write_entities(folder / f"{column.name}.parquet", source, column)
    return folder
