"""Parquet: a table per feature, `kar_item_dense.parquet`: id, as_of, vector; what any tool of data reads.

Reads:     Polars, pandas, DuckDB, Spark.
Time:      every row of the release with its as_of. An as-of join on it must be strict: as_of < time of the row.
"""

from collections.abc import Sequence
from pathlib import Path

from app.exports.protocol import Exported, ExportFormat
from feature_store.entity_table import write_entities


def write(exported: Exported, out: Path) -> Sequence[str]:
    """Write the tables."""
    for source, column in exported.columns():
        write_entities(out / f"{column.name}.parquet", source, column)
    return ["join strictly: a row at time t may see as_of < t, not as_of = t"]


PARQUET = ExportFormat("parquet", "a table per feature: id, as_of, vector", write)
