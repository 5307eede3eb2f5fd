"""Search one table at one version in the database for words; `feature_store.near` searches vectors."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

import polars as pl

from feature_store.damage import reading
from feature_store.database import Store

if TYPE_CHECKING:
    from lancedb.query import LanceFtsQueryBuilder
    from lancedb.table import Table


class PinnedTable:
    """A table at one version, unaffected by later writes; create it with `open_pinned`."""

    def __init__(self, table: "Table") -> None:
        self._table = table

    def matching(self, words: str, column: str, limit: int, columns: Sequence[str]) -> pl.DataFrame:
        """Return the rows that share a word with the query, using the index made by `Writer.index_words`.

        Args:
            words: Words separated by spaces, in the form of the column.
            column: The indexed column.
            limit: Maximum number of rows; ties at the limit are broken arbitrarily.
            columns: Columns to read.

        Returns:
            The columns and `score` (BM25, Float64), best first.
        """
        from lancedb.query import MatchQuery  # noqa: PLC0415 - LanceDB takes a second to import, and few reads search

        match = MatchQuery(query=words, column=column)  # pyright: ignore[reportCallIssue] - the others have defaults
        query = cast("LanceFtsQueryBuilder", self._table.search(match, query_type="fts"))
        found = pl.DataFrame(pl.from_arrow(query.select([*columns, "_score"]).limit(limit).to_arrow()))
        return found.select(*columns, score=pl.col("_score").cast(pl.Float64))


def open_pinned(store: Store, table: str, version: int, columns: Sequence[str]) -> PinnedTable:
    """Open a table at a version.

    Args:
        store: The store.
        table: Name of the table.
        version: Its version, as pinned by a release.
        columns: Columns that will be read.

    Raises:
        WrongUse: The table lacks one of them.
        StoreFault: It is damaged.
    """
    store.open(table, version, whole=False)
    with reading(store.uri(table)):
        handle = store.connect().open_table(table)
        handle.checkout(version)
    store.check_columns(table, columns, handle.schema.names)
    return PinnedTable(handle)
