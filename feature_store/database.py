"""The LanceDB database: one folder, reads at a pinned version, one writer at a time."""

import os
import sys
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import lance
import pyarrow as pa

from base.faults import CheckFailed, WrongUse
from feature_store.checksums import check_files, check_manifest, files_of
from feature_store.damage import reading
from feature_store.disk import reason_of
from feature_store.files import ROWS_IN_A_FILE, forget_versions, join_small_files
from feature_store.identity import Identity, Note, StoreFault, read_identity
from feature_store.lock import only_writer
from feature_store.schemas import LATER

if TYPE_CHECKING:
    from lancedb.db import DBConnection

KEEP_UNTAGGED = timedelta(days=7)
COMPACT_EVERY = 20
"""Number of files above which a table is compacted: thousands of small files slow down reads several times."""
KEYS_IN_A_CONDITION = 1_000
"""Maximum keys in one delete condition."""
LARGEST_MERGE = 64 << 20
"""Maximum bytes in one merge; LanceDB's merge has a memory pool of 150 MB."""


@dataclass(frozen=True)
class Store:
    """A store in a folder. Reading never creates anything; writing needs `writer`."""

    folder: Path
    """Absolute folder of the database."""
    note: Note | None = None
    """Where the config remembers this store; written by a writer."""

    def path(self, table: str) -> Path:
        """Return the folder of a table."""
        return self.folder / f"{table}.lance"

    def has(self, table: str) -> bool:
        """Return whether a table exists; one whose first commit was killed does not, whatever files it left.

        Raises:
            StoreFault: It existed, and its folder is gone.
        """
        if self._is_there(table):
            return True
        identity = read_identity(self.folder)
        if identity is not None and table in identity.tables:
            raise StoreFault(
                f"{self.path(table)}: this table of the store is gone; it does not read as empty, because then"
                " everything in it would be made and paid for again\n"
                "  bring it back from a backup; what is lost and how to go on: knowflow verify"
            )
        return False

    def _is_there(self, table: str) -> bool:
        return any(self.path(table).glob("_versions/*.manifest"))

    def tables(self) -> list[str]:
        """Return the names of all tables.

        Raises:
            StoreFault: A table is gone.
        """
        identity = read_identity(self.folder)
        return [name for name in sorted({*self.on_disk(), *(identity.tables if identity else ())}) if self.has(name)]

    def on_disk(self) -> list[str]:
        """Return the names of the tables that are there, whatever the store says of itself."""
        return sorted(path.stem for path in self.folder.glob("*.lance") if self._is_there(path.stem))

    def version(self, table: str) -> int:
        """Return the newest version of a table."""
        return self.open(table).version

    def open(self, table: str, version: int | None = None, *, whole: bool = True) -> lance.LanceDataset:
        """Open a table at its newest version or a pinned one, after a look at its files.

        Args:
            table: Name of the table.
            version: The pinned version.
            whole: Whether to hash the files of a pinned version, once a process.

        Raises:
            StoreFault: The table is damaged.
        """
        check_manifest(self.folder, table, version)
        with reading(self.path(table)):
            dataset = lance.dataset(str(self.path(table)), version=version)
            files = files_of(dataset)
        check_files(self.folder, files, whole=whole and version is not None)
        return dataset

    def read(
        self,
        table: str,
        schema: pa.Schema,
        columns: list[str] | None = None,
        where: str | None = None,
        version: int | None = None,
    ) -> pa.Table:
        """Read rows of a table at its newest version or a pinned one.

        Args:
            table: Name of the table; a missing table reads as an empty one.
            schema: Its schema; a column that was added later reads as null from a table that lacks it.
            columns: Columns to read; all if not given.
            where: SQL condition.
            version: Version to read.

        Raises:
            WrongUse: The table lacks a column that is read.
            StoreFault: It is gone or damaged.
        """
        if not self.has(table):
            return schema.empty_table() if columns is None else schema.empty_table().select(columns)
        dataset = self.open(table, version)
        wanted = columns or schema.names
        lacking = self.added_columns(table, wanted, schema, dataset.schema.names)
        there = columns if not lacking else [name for name in wanted if name not in lacking]
        with reading(self.path(table)):
            found = dataset.to_table(columns=there, filter=where)
        if not lacking:
            return found
        for name in lacking:
            found = found.append_column(schema.field(name), pa.nulls(len(found), schema.field(name).type))
        return found.select(wanted)

    def added_columns(self, table: str, wanted: Sequence[str], schema: pa.Schema, there: Sequence[str]) -> list[str]:
        """Return the wanted columns that were added to the schema after a table was created.

        Raises:
            WrongUse: The table lacks other columns.
        """
        later = [name for name in wanted if LATER.items() <= _metadata(schema, name).items() and name not in there]
        self.check_columns(table, [name for name in wanted if name not in later], there)
        return later

    def check_columns(self, table: str, wanted: Sequence[str], there: Sequence[str]) -> None:
        """Check that a table has the wanted columns.

        Raises:
            WrongUse: The table lacks some of them.
        """
        lacking = sorted(set(wanted) - set(there))
        if lacking:
            raise WrongUse(
                f"{self.folder}: table {table} was written by another version of KnowFlow:"
                f" it has no {', '.join(lacking)}\n"
                "  set another home: in knowflow.yaml to start over, or go back to that version"
            )

    @contextmanager
    def writer(self, purpose: str, migrating: bool = False) -> Iterator["Writer"]:
        """Become the only writer of the store.

        Args:
            purpose: Shown to other processes that are refused meanwhile.
            migrating: Whether the store may be of an older format.

        Raises:
            WrongUse: Another process is writing.
            StoreFault: The store is of another format.
            CheckFailed: The disk rejected a write; everything written before is kept.
        """
        with only_writer(self.folder, purpose):
            try:
                if not migrating:
                    self._identify()
                yield Writer(self)
            except (OSError, RuntimeError) as error:
                reason = reason_of(error)
                if reason is None:
                    raise
                raise CheckFailed(
                    f"{self.folder}: the store cannot be written: {reason}\n  the answers so far are kept;"
                    " free space or fix the disk, then run the same command again to continue"
                ) from error

    def _identify(self) -> None:
        """Give a new store an identity, and let the config note it."""
        identity = read_identity(self.folder)
        if identity is None and self.on_disk():
            raise StoreFault(
                f"{self.folder}: this store was made before stores had a format number\n"
                "  bring it up to date, which keeps everything in it: knowflow migrate"
            )
        if identity is None:
            identity = Identity.new()
            identity.write(self.folder)
        if self.note is not None:
            self.note.write(self.folder, identity)


class Writer:
    """Writes to a store; create it with `Store.writer`.

    Args:
        store: The store.
    """

    def __init__(self, store: Store) -> None:
        self.store = store

    @cached_property
    def _connection(self) -> "DBConnection":
        import lancedb  # noqa: PLC0415 - takes a second, and a run that has nothing to write needs none of it

        # Interval 0: a stale handle would insert keys that already exist.
        return lancedb.connect(str(self.store.folder), read_consistency_interval=timedelta(0))

    def upsert(self, table: str, data: pa.Table, schema: pa.Schema) -> int:
        """Insert rows with new keys and replace rows with existing keys.

        Args:
            table: Name of the table; created if missing.
            data: Rows with the columns of `schema`.
            schema: Schema whose first column is the key.

        Returns:
            Rows inserted or replaced.

        Raises:
            CheckFailed: The rows hold a key twice; LanceDB would silently insert both.
            WrongUse: The table lacks a column of the schema that is not marked as added later.
        """
        key = schema.names[0]
        if len(data[key].unique()) != len(data):
            raise CheckFailed(f"{table}: a batch of {len(data):,} rows holds a key twice")
        self._add_columns(table, schema)
        handle = self._connection.create_table(table, schema=schema, exist_ok=True)
        self._register(table)
        rows = data.select(schema.names).cast(schema)
        step = max(1, int(len(rows) * LARGEST_MERGE / max(rows.nbytes, 1)))
        known = self._holds_any(table, key, rows[key])
        for start in range(0, len(rows), step):
            merge = handle.merge_insert(key).when_matched_update_all().when_not_matched_insert_all()
            with reading(self.store.path(table)):
                if known:
                    merge.use_index(False).execute(rows.slice(start, step))
                else:  # a merge keeps a filter of its keys, 60 KB a commit, however few rows
                    handle.add(rows.slice(start, step))
            self.compact_when_many(table)
        return len(rows)

    def _holds_any(self, table: str, key: str, keys: pa.ChunkedArray) -> bool:
        wanted = set(keys.to_pylist())
        with reading(self.store.path(table)):
            batches = lance.dataset(str(self.store.path(table))).to_batches(columns=[key])
            return not all(wanted.isdisjoint(batch[key].to_pylist()) for batch in batches)

    def _register(self, table: str) -> None:
        identity = read_identity(self.store.folder)
        if identity is not None and table not in identity.tables:
            identity.with_table(table).write(self.store.folder)

    def _add_columns(self, table: str, schema: pa.Schema) -> None:
        # Versions pinned by a release keep the table as it was: they read the new column as null.
        if self.store.has(table):
            dataset = self.store.open(table)
            if lacking := self.store.added_columns(table, schema.names, schema, dataset.schema.names):
                dataset.add_columns(pa.schema([schema.field(name) for name in lacking]))

    def delete(self, table: str, key: str, keys: Iterable[str]) -> None:
        """Delete rows by their key; earlier releases keep theirs."""
        listed = sorted(set(keys))
        for start in range(0, len(listed), KEYS_IN_A_CONDITION):
            chosen = ", ".join(quoted(value) for value in listed[start : start + KEYS_IN_A_CONDITION])
            with reading(self.store.path(table)):
                self._connection.open_table(table).delete(f"{key} IN ({chosen})")

    def compact_when_many(self, table: str) -> None:
        """Compact a table that has many small files."""
        # Not more often: releases would pin every generation of the joined files.
        # Counted in the table, not in this process: a nightly run commits only once or twice, but every night.
        dataset = lance.dataset(str(self.store.path(table)))
        if len(dataset.get_fragments()) > COMPACT_EVERY + dataset.count_rows() // ROWS_IN_A_FILE:
            self.compact(table)

    def index_words(self, table: str, column: str) -> None:
        """Rebuild the index of a column of words; versions of the table pinned by a release keep theirs."""
        from lancedb.index import FTS  # noqa: PLC0415 - see `_connection`

        as_they_are = FTS(  # the words are already analysed
            base_tokenizer="whitespace",
            lower_case=False,
            stem=False,
            remove_stop_words=False,
            ascii_folding=False,
            max_token_length=None,
        )
        self._connection.open_table(table).create_index(column, config=as_they_are, replace=True)

    def is_indexed(self, table: str, column: str) -> bool:
        """Return whether a column has an index of all rows; after a kill it may not."""
        handle = self._connection.open_table(table)
        stats = [handle.index_stats(index.name) for index in handle.list_indices() if index.columns == [column]]
        return any(stat is not None and stat.num_unindexed_rows == 0 for stat in stats)

    def compact(self, table: str) -> None:
        """Join small files and delete old versions that no release pins."""
        join_small_files(self.store.path(table))
        forget_versions(self.store.path(table), KEEP_UNTAGGED)

    def untag(self, table: str, kept: Collection[str]) -> None:
        """Give up the versions of a table that were kept under other names than these."""
        tags = self._connection.open_table(table).tags
        for name in set(tags.list()) - set(kept):
            tags.delete(name)

    def tag(self, table: str, name: str, version: int) -> None:
        """Keep a version of a table permanently, under a name."""
        tags = self._connection.open_table(table).tags
        if name in tags.list():
            tags.update(name, version)
        else:
            tags.create(name, version)


def _metadata(schema: pa.Schema, name: str) -> dict[str, str]:
    return {key.decode(): value.decode() for key, value in (schema.field(name).metadata or {}).items()}


def quoted(value: str) -> str:
    """Quote a text for an SQL condition.

    Example:
        >>> quoted("it's")
        "'it''s'"
    """
    return "'" + value.replace("'", "''") + "'"


def command_line() -> str:
    """Return the command that this process runs, or its flow run, as `Store.writer` shows it."""
    program = Path(sys.argv[0])
    if program.parts[-2:] == ("prefect", "engine.py"):
        return " ".join(["the scheduled flow run", *(sys.argv[1:] or [os.environ.get("PREFECT__FLOW_RUN_ID", "")])])
    return " ".join([program.name, *sys.argv[1:]])
