"""The documented tables that every later room reads, whatever the format of the user's files."""

import hashlib
import json
from dataclasses import dataclass

import polars as pl

ROWS = 100_000
"""Rows hashed at a time."""


@dataclass(frozen=True)
class Dataset:
    """The user's data in canonical form; ids are text, sorted before the conversion to text."""

    events: pl.DataFrame
    """user, item (String), time (Datetime us UTC), rating (Float32, null if only labels are given), label (Float32,
    0 or 1), position (UInt32, 0-based index of the event within its user), session (String, only if the data
    has sessions), part (String: train, validation or test); sorted by (time, item, user)."""
    items: pl.DataFrame
    """item, title (String), then the mapped fields: texts String, categories List(String), numbers Float64."""
    users: pl.DataFrame | None
    """user (String) and the mapped fields; None if there is no such table."""
    queries: pl.DataFrame | None
    """query (String), and user, item (String), time (Datetime us UTC) where mapped."""
    text_fields: tuple[str, ...]
    """Names of the items' text fields."""
    category_fields: tuple[str, ...]
    """Names of the items' category fields."""
    number_fields: tuple[str, ...]
    """Names of the items' number fields."""
    version: str
    """Hash of the content: the same content from CSV, JSONL or Parquet has the same version. The sessions, the parts
    and sampled negatives are not included: a split by other settings does not change the version."""
    sampled: pl.DataFrame | None = None
    """Negatives sampled for a log of positives only, with the columns of the events; user, time and position are those
    of the positive. Only models are trained and judged on them: they are nobody's history. None if none are sampled."""
    told: tuple[str, ...] = ()
    """What loading said of rows that it left out."""
    loaded_from: str = ""
    """Digest of all that loading read, from before it read it; empty if it is not known."""

    def __post_init__(self) -> None:
        """Check that every event has its part, so that no other code splits again by another rule."""
        if "part" not in self.events.columns:
            raise ValueError("the events have no column part: add it with sources.events.with_parts")


def event_id(user: str, item: str) -> str:
    """Return the id of an event, made from user and item; together with its time it identifies the event.

    Example:
        >>> event_id("7", "318")
        '["7","318"]'
    """
    return json.dumps([user, item], ensure_ascii=False, separators=(",", ":"))


def event_of(entity: str) -> tuple[str, str]:
    """Return user and item of an `event_id`.

    Example:
        >>> event_of('["7","318"]')
        ('7', '318')
    """
    user, item = json.loads(entity)
    return user, item


def content_hash(tables: list[pl.DataFrame | None]) -> str:
    """Hash the content of tables: column names, and every value in order.

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
        for rows in table.iter_slices(ROWS):  # a text of the whole table would be larger than the table
            digest.update(rows.write_ndjson().encode())
    return digest.hexdigest()
