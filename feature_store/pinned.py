"""One table at one version, asked what a database answers better than a frame: near vectors, and matching words."""

from collections.abc import Sequence
from typing import cast

import lancedb
import numpy as np
import polars as pl
import pyarrow as pa
from lancedb.query import LanceFtsQueryBuilder, LanceVectorQueryBuilder, MatchQuery

from feature_store.database import Store


class PinnedTable:
    """A table as one version holds it, whatever was written later; get one from `open_pinned`."""

    def __init__(self, table: lancedb.Table) -> None:
        self._table = table

    def nearest(self, vector: np.ndarray, limit: int, columns: Sequence[str], where: str | None = None) -> pl.DataFrame:
        """Read the rows whose `vector` lies nearest by cosine.

        Args:
            vector: [d] float32.
            limit: Rows at most; which of several equally near ones are among them is left to chance.
            columns: Columns to read.
            where: SQL condition that a row has to meet.

        Returns:
            The columns and `distance` (1 - cosine, Float64), the nearest first.
        """
        query = cast(LanceVectorQueryBuilder, self._table.search(vector, vector_column_name="vector"))
        query = query.distance_type("cosine").select([*columns, "_distance"]).limit(limit)
        if where is not None:
            query = query.where(where, prefilter=True)
        return _frame(query.to_arrow(), columns, "distance")

    def matching(self, words: str, column: str, limit: int, columns: Sequence[str]) -> pl.DataFrame:
        """Read the rows that share a word with what is asked, by the index that `Writer.index_words` made.

        Args:
            words: Words with blanks between them, as they stand in the column.
            column: The column that is indexed.
            limit: Rows at most; which of several equally good ones are among them is left to chance.
            columns: Columns to read.

        Returns:
            The columns and `score` (BM25, Float64), the best first.
        """
        match = MatchQuery(query=words, column=column)  # pyright: ignore[reportCallIssue] - the others have defaults
        query = cast(LanceFtsQueryBuilder, self._table.search(match, query_type="fts"))
        return _frame(query.select([*columns, "_score"]).limit(limit).to_arrow(), columns, "score")


def _frame(found: pa.Table, columns: Sequence[str], measure: str) -> pl.DataFrame:
    frame = pl.DataFrame(pl.from_arrow(found))
    return frame.select(*columns, pl.col(f"_{measure}").cast(pl.Float64).alias(measure))


def open_pinned(store: Store, table: str, version: int, columns: Sequence[str]) -> PinnedTable:
    """Open a table at a version.

    Args:
        store: The store.
        table: Name of the table.
        version: Its version, such as a release names it.
        columns: Columns that will be read.

    Raises:
        OtherVersion: It lacks one of them.
    """
    handle = lancedb.connect(str(store.folder)).open_table(table)
    handle.checkout(version)
    store.check_columns(table, columns, handle.schema.names)
    return PinnedTable(handle)
