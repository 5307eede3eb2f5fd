"""The LanceDB database in a folder or a bucket: reads at a pinned version, one writer at a time."""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import lance
import pyarrow as pa

from base.faults import CheckFailed, WrongUse
from feature_store.bucket import Bucket
from feature_store.damage import reading
from feature_store.disk import reason_of
from feature_store.identity import FORMAT, Identity, Note, StoreFault
from feature_store.place import Folder, Place
from feature_store.schemas import LATER
from feature_store.writer import Writer

if TYPE_CHECKING:
    from lancedb.db import DBConnection


@dataclass(frozen=True)
class Store:
    """A store in a folder or a bucket. Reading never creates anything; writing needs `writer`."""

    folder: Path
    """Absolute folder of the database; of a store in a bucket, the folder of what is not in it."""
    note: Note | None = None
    """Where the config remembers this store; written by a writer."""
    bucket: Bucket | None = None
    """Where its tables are, if not in the folder."""

    def __str__(self) -> str:
        """Return where it is."""
        return self.place.address

    @property
    def place(self) -> Place:
        """Return where its tables are."""
        return self.bucket or Folder(self.folder)

    def path(self, table: str) -> Path:
        """Return the folder of a table of a store on a disk."""
        return self.folder / f"{table}.lance"

    def uri(self, table: str) -> str:
        """Return the address of a table, as LanceDB takes it."""
        return f"{self.place.address}/{table}.lance"

    def dataset(self, table: str, version: int | None = None) -> lance.LanceDataset:
        """Open a table without a look at its files."""
        return lance.dataset(self.uri(table), version=version, storage_options=self.place.options)

    def connect(self) -> "DBConnection":
        """Open the database with LanceDB; a handle always reads the newest version."""
        import lancedb  # noqa: PLC0415 - takes a second, and many runs need none of it

        # Interval 0: a stale handle would insert keys that already exist.
        always = timedelta(0)
        return lancedb.connect(str(self), read_consistency_interval=always, storage_options=self.place.options)

    def has(self, table: str) -> bool:
        """Return whether a table exists; one whose first commit was killed does not, whatever files it left.

        Raises:
            StoreFault: It existed, and its folder is gone.
        """
        if self.place.has(table):
            return True
        identity = self.place.identity()
        if identity is not None and table in identity.tables:
            raise StoreFault(
                f"{self.uri(table)}: this table of the store is gone; it does not read as empty, because then"
                " everything in it would be made and paid for again\n"
                "  bring it back from a backup; what is lost and how to go on: knowflow verify"
            )
        return False

    def tables(self) -> list[str]:
        """Return the names of all tables.

        Raises:
            StoreFault: A table is gone.
        """
        identity, there = self.place.identity(), self.on_disk()
        gone = sorted({*(identity.tables if identity else ())} - {*there})
        return there if not gone else [*there, *(name for name in gone if self.has(name))]

    def on_disk(self) -> list[str]:
        """Return the names of the tables that are there, whatever a store on a disk says of itself."""
        return self.place.tables()

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
        self.place.check_manifest(table, version)
        with reading(self.uri(table)):
            dataset = self.dataset(table, version)
        self.place.check_files(dataset, whole=whole and version is not None)
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
        with reading(self.uri(table)):
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
                f"{self}: table {table} was written by another version of KnowFlow:"
                f" it has no {', '.join(lacking)}\n"
                "  set another home: in knowflow.yaml to start over, or go back to that version"
            )

    @contextmanager
    def writer(self, purpose: str, migrating: bool = False) -> Iterator[Writer]:
        """Become the only writer of the store.

        Args:
            purpose: Shown to other processes that are refused meanwhile.
            migrating: Whether the store may be of an older format.

        Raises:
            WrongUse: Another process is writing.
            StoreFault: The store is of another format.
            CheckFailed: The disk rejected a write; everything written before is kept.
        """
        with self.place.writing(purpose) as held:
            try:
                if not migrating:
                    self._identify()
                yield Writer(self, held)
            except (OSError, RuntimeError) as error:
                reason = reason_of(error)
                if reason is None:
                    raise
                raise CheckFailed(
                    f"{self}: the store cannot be written: {reason}\n  the answers so far are kept;"
                    " free space or fix the disk, then run the same command again to continue"
                ) from error

    def _identify(self) -> None:
        """Give a new store an identity, and let the config note it."""
        identity = self.place.identity()
        if identity is None and self.on_disk():
            raise StoreFault(
                f"{self}: this store was made before stores had a format number\n"
                "  bring it up to date, which keeps everything in it: knowflow migrate"
            )
        if identity is not None and identity.format < FORMAT:
            raise StoreFault(
                f"{self}: this store is of format {identity.format}, and this version writes format {FORMAT}\n"
                "  bring it up to date, which keeps everything in it: knowflow migrate"
            )
        if identity is None:
            identity = Identity.new()
            self.place.identify(identity)
        if self.note is not None:
            self.note.write(str(self), identity)


def _metadata(schema: pa.Schema, name: str) -> dict[str, str]:
    return {key.decode(): value.decode() for key, value in (schema.field(name).metadata or {}).items()}


def command_line() -> str:
    """Return the command that this process runs, or its flow run, as `Store.writer` shows it."""
    program = Path(sys.argv[0])
    if program.parts[-2:] == ("prefect", "engine.py"):
        return " ".join(["the scheduled flow run", *(sys.argv[1:] or [os.environ.get("PREFECT__FLOW_RUN_ID", "")])])
    return " ".join([program.name, *sys.argv[1:]])
