"""Every key of a table stands there once."""

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
        keys = dataset.to_table(columns=[key or dataset.schema.names[0]]).column(0)
    doubled = len(keys) - len(keys.unique())
    if doubled:
        raise CheckFailed(f"{table}: {doubled:,} of {len(keys):,} rows repeat a key")
    return len(keys)
