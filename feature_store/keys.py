"""Every key of a table stands there once."""

import polars as pl

from base.faults import CheckFailed
from feature_store.damage import reading
from feature_store.database import Store


def check_keys(store: Store, table: str, key: str | None = None) -> int:
    """Count a table's rows and check that no key appears more than once.

    Args:
        store: The store.
        table: Name of the table.
        key: The key column; the first column, as in `Writer.upsert`, if not given.

    Raises:
        CheckFailed: A key appears more than once.
    """
    dataset = store.open(table)
    with reading(store.uri(table)):
        keys = pl.Series(dataset.to_table(columns=[key or dataset.schema.names[0]]).column(0))
    if keys.hash(0).n_unique() == len(keys):  # then no two keys are the same, either
        return len(keys)
    doubled = len(keys) - keys.n_unique()
    if doubled:
        raise CheckFailed(f"{table}: {doubled:,} of {len(keys):,} rows repeat a key")
    return len(keys)
