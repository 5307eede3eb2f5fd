"""The documented tables that every later room reads, whatever the user's files look like."""

import hashlib
from dataclasses import dataclass

import polars as pl


@dataclass(frozen=True)
class Dataset:
    """The user's data in canonical form; ids are text, sorted before they became text."""

    events: pl.DataFrame
    """user, item (String), time (Datetime us UTC), rating (Float32, null when only labels are given), label (Float32,
    0 or 1), position (UInt32, 0-based place of the event within its user); sorted by (time, item, user)."""
    items: pl.DataFrame
    """item, title (String), then the mapped fields: texts String, categories List(String), numbers Float64."""
    users: pl.DataFrame | None
    """user (String) and the mapped fields; None when the user gives no such table."""
    queries: pl.DataFrame | None
    """query (String), and user, item (String), time (Datetime us UTC) where mapped."""
    text_fields: tuple[str, ...]
    """Names of the items' text fields."""
    category_fields: tuple[str, ...]
    """Names of the items' category fields."""
    number_fields: tuple[str, ...]
    """Names of the items' number fields."""
    version: str
    """Hash of the content: the same content from CSV, JSONL or Parquet has the same version."""


def content_hash(tables: list[pl.DataFrame | None]) -> str:
    """Hash tables by their content: column names, and every value in order.

    Example:
        >>> content_hash([pl.DataFrame({"a": [1]})]) == content_hash([pl.DataFrame({"a": [2]})])
        False
    """
    digest = hashlib.sha256()
    for table in tables:
        if table is None:
            digest.update(b"none;")
            continue
        digest.update(repr(list(table.schema.items())).encode())
        digest.update(table.write_ndjson().encode())
    return digest.hexdigest()
