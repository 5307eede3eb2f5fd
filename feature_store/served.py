"""The served table of rewrites: query -> what to search for instead, one version of it in every release."""

from typing import Any

from feature_store.database import Store
from feature_store.schemas import REWRITES

TABLE = "rewrites"


def read_rewrites(store: Store, version: int | None = None, where: str | None = None) -> list[dict[str, Any]]:
    """Rows of the table, sorted by query; of its newest version unless one is named."""
    rows = store.read(TABLE, REWRITES, where=where, version=version).to_pylist()
    return sorted(rows, key=lambda row: row["query"])
