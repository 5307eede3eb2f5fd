"""Tables of entities: id, as_of and vector of everything that a source holds."""

from pathlib import Path

import numpy as np
import polars as pl

from feature_store.features import Column, Source

AS_OF = pl.Datetime("us", "UTC")


def entity_table(source: Source, column: Column) -> pl.DataFrame:
    """Return a row per entity and moment, in the source's order: the id (named after its kind), `as_of`, the column."""
    values = column.values
    if isinstance(values, np.ndarray):
        values = column.take(np.arange(len(values)))
    as_of = pl.Series(source.known, dtype=pl.Int64).cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    ids = pl.Series(source.entities, dtype=pl.String)
    return pl.DataFrame({source.entity: ids, "as_of": as_of, column.name: values})


def write_entities(file: Path, source: Source, column: Column) -> None:
    """Write such a table as Parquet."""
    entity_table(source, column).write_parquet(file, compression="uncompressed", statistics=False)
