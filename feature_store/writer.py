"""Write to a store: insert, replace and delete rows, keep versions, join small files. One writer at a time."""

from collections.abc import Collection, Iterable
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING

import pyarrow as pa

from base.faults import CheckFailed
from feature_store.damage import reading
from feature_store.files import forget_versions, join_small_files
from feature_store.place import Held

if TYPE_CHECKING:
    from lancedb.db import DBConnection
    from lancedb.table import Table

    from feature_store.database import Store

KEEP_UNTAGGED = timedelta(days=7)
COMPACT_EVERY = 20
"""Small files above which a table is compacted: thousands of them slow down reads several times."""
KEYS_COMPARED = 1_000_000
"""Keys of a table that are compared with new ones at once."""
ROWS_ENOUGH = 20_000
"""Rows of a file that need not be joined: a first refresh of millions writes files of so many, and joining them would
copy all that it has just written."""
KEYS_IN_A_CONDITION = 1_000
"""Maximum keys in one delete condition."""
SAMPLE = 256
"""Rows for each partition of an index of vectors from which its centre is learned."""
LARGEST_MERGE = 64 << 20
"""Maximum bytes in one merge; LanceDB's merge has a memory pool of 150 MB."""


class Writer:
    """Writes to a store; create it with `Store.writer`.

    Args:
        store: The store.
        held: Raises CheckFailed if this is no longer the only writer.
    """

    def __init__(self, store: "Store", held: Held = lambda: None) -> None:
        self.store, self._held = store, held

    def check_held(self) -> None:
        """Raise CheckFailed if this is no longer the only writer."""
        self._held()

    @cached_property
    def _connection(self) -> "DBConnection":
        return self.store.connect()

    def _open(self, table: str) -> "Table":
        """Open a table to write."""
        self._held()
        with reading(self.store.uri(table)):
            return self._connection.open_table(table)

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
        self._held()
        self._add_columns(table, schema)
        with reading(self.store.uri(table)):
            handle = self._connection.create_table(table, schema=schema, exist_ok=True)
        self._register(table)
        rows = data.select(schema.names).cast(schema)
        step = max(1, int(len(rows) * LARGEST_MERGE / max(rows.nbytes, 1)))
        known = self._holds_any(table, key, rows[key])
        for start in range(0, len(rows), step):
            merge = handle.merge_insert(key).when_matched_update_all().when_not_matched_insert_all()
            self._held()
            with reading(self.store.uri(table)):
                if known:
                    merge.use_index(False).execute(rows.slice(start, step))
                else:  # a merge keeps a filter of its keys, 60 KB a commit, however few rows
                    handle.add(rows.slice(start, step))
            self.compact_when_many(table)
        return len(rows)

    def _holds_any(self, table: str, key: str, keys: pa.ChunkedArray) -> bool:
        import polars as pl  # noqa: PLC0415 - `knowflow status` needs none of it, and it takes 0.13 s to import

        wanted = pl.Series(key, keys).to_frame()
        with reading(self.store.uri(table)):
            batches = self.store.dataset(table).to_batches(columns=[key], batch_size=KEYS_COMPARED)
            there = (pl.Series(key, batch[key]).to_frame() for batch in batches)
            return any(len(some.join(wanted, on=key, how="semi")) for some in there)

    def _register(self, table: str) -> None:
        identity = self.store.place.identity()
        if identity is not None and table not in identity.tables:
            self.store.place.identify(identity.with_table(table))

    def _add_columns(self, table: str, schema: pa.Schema) -> None:
        # Versions pinned by a release keep the table as it was: they read the new column as null.
        if self.store.has(table):
            dataset = self.store.open(table)
            if lacking := self.store.added_columns(table, schema.names, schema, dataset.schema.names):
                with reading(self.store.uri(table)):
                    dataset.add_columns(pa.schema([schema.field(name) for name in lacking]))

    def delete(self, table: str, key: str, keys: Iterable[str]) -> None:
        """Delete rows by their key; earlier releases keep theirs."""
        listed = sorted(set(keys))
        for start in range(0, len(listed), KEYS_IN_A_CONDITION):
            chosen = ", ".join(quoted(value) for value in listed[start : start + KEYS_IN_A_CONDITION])
            handle = self._open(table)
            with reading(self.store.uri(table)):
                handle.delete(f"{key} IN ({chosen})")

    def clear(self, table: str) -> None:
        """Delete all rows of a table; versions pinned by a release keep theirs."""
        handle = self._open(table)
        with reading(self.store.uri(table)):
            handle.delete("true")

    def compact_when_many(self, table: str) -> None:
        """Compact a table that has many small files."""
        # Not more often: releases would pin every generation of the joined files.
        # Counted in the table, not in this process: a nightly run commits only once or twice, but every night.
        with reading(self.store.uri(table)):
            dataset = self.store.dataset(table)
        if len(dataset.get_fragments()) > COMPACT_EVERY + dataset.count_rows() // ROWS_ENOUGH:
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
        handle = self._open(table)
        with reading(self.store.uri(table)):
            handle.create_index(column, config=as_they_are, replace=True)

    def index_vectors(self, table: str, column: str, name: str, partitions: int, instead: Collection[str]) -> None:
        """Make the index of a column of vectors; versions of the table pinned by a release keep theirs.

        Args:
            table: Name of the table.
            column: The column.
            name: Name of the index.
            partitions: Number of its partitions.
            instead: Names of the indices of this column that are there.
        """
        self._held()
        with reading(self.store.uri(table)):
            dataset = self.store.dataset(table)
            dataset.create_index(
                column, "IVF_FLAT", name, metric="cosine", replace=True, num_partitions=partitions, sample_rate=SAMPLE
            )
        self.drop_indices(table, set(instead) - {name})

    def drop_indices(self, table: str, names: Collection[str]) -> bool:
        """Drop indices of a table; versions pinned by a release keep theirs. Return whether there were any."""
        self._held()
        with reading(self.store.uri(table)):
            for name in sorted(names):
                self.store.dataset(table).drop_index(name)
        return bool(names)

    def add_to_index(self, table: str, name: str) -> None:
        """Put the rows that were written since into an index."""
        self._held()
        with reading(self.store.uri(table)):
            self.store.dataset(table).optimize.optimize_indices(index_names=[name])

    def is_indexed(self, table: str, column: str) -> bool:
        """Return whether a column has an index of all rows; after a kill it may not."""
        handle = self._open(table)
        stats = [handle.index_stats(index.name) for index in handle.list_indices() if index.columns == [column]]
        return any(stat is not None and stat.num_unindexed_rows == 0 for stat in stats)

    def compact(self, table: str) -> None:
        """Join small files and delete old versions that no release pins."""
        self._held()
        with reading(self.store.uri(table)):
            join_small_files(self.store.uri(table), self.store.place.options)
        self.forget_versions(table, KEEP_UNTAGGED)

    def forget_versions(self, table: str, older_than: timedelta) -> None:
        """Delete versions of a table that no release pins; younger ones stay."""
        self._held()
        with reading(self.store.uri(table)):
            forget_versions(self.store.uri(table), older_than, self.store.place.options)

    def untag(self, table: str, kept: Collection[str]) -> None:
        """Give up the versions of a table that were kept under other names than these."""
        tags = self._open(table).tags
        with reading(self.store.uri(table)):
            for name in set(tags.list()) - set(kept):
                tags.delete(name)

    def tag(self, table: str, name: str, version: int) -> None:
        """Keep a version of a table permanently, under a name."""
        tags = self._open(table).tags
        with reading(self.store.uri(table)):
            if name in tags.list():
                tags.update(name, version)
            else:
                tags.create(name, version)


def quoted(value: str) -> str:
    """Quote a text for an SQL condition.

    Example:
        >>> quoted("it's")
        "'it''s'"
    """
    return "'" + value.replace("'", "''") + "'"
