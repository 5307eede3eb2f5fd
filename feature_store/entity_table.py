"""Tables of entities: id, as_of and vector of everything that a source holds."""

from pathlib import Path

import lance
import numpy as np
import polars as pl

from feature_store.features import Column, Source


def entity_table(source: Source, column: Column) -> pl.DataFrame:
    """Return a row per entity and moment, in the source's order: the id (named after its kind), `as_of`, the column."""
    values = column.values
    if isinstance(values, np.ndarray):
        values = column.take(np.arange(len(values)))
    as_of = pl.Series(source.known, dtype=pl.Int64).cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    ids = pl.Series(source.entities, dtype=pl.String)
    return pl.DataFrame({source.entity: ids, "as_of": as_of, column.name: values})


def newest_rows(source: Source) -> np.ndarray:
    """Return the newest row of each entity, in the order of their ids: [E] int64."""
    order = np.lexsort((source.known, source.entities))
    ids = source.entities[order]
    return order[np.append(ids[1:] != ids[:-1], True)] if len(order) else order


def write_entities(file: Path, source: Source, column: Column) -> None:
    """Write such a table as Parquet."""
    entity_table(source, column).write_parquet(file, compression="uncompressed", statistics=False)


def write_lance(folder: Path, source: Source, column: Column) -> None:
    """Write such a table as a Lance dataset of its own."""
    lance.write_dataset(entity_table(source, column).to_arrow(), str(folder))
