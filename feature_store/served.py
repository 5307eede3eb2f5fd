"""The served table of rewrites: query -> what to search for instead; each release pins one version of it."""

from typing import Any

from feature_store.database import Store
from feature_store.schemas import REWRITES

TABLE = "rewrites"


def read_rewrites(store: Store, version: int | None = None, where: str | None = None) -> list[dict[str, Any]]:
    """Return the rows of the table, sorted by query, at its newest version or the given one."""
    rows = store.read(TABLE, REWRITES, where=where, version=version).to_pylist()
    return sorted(rows, key=lambda row: row["query"])
