"""What a leak check holds a release against: the data as it is, and the words by which prompts show it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

import polars as pl

MOMENT = pl.Datetime("us", "UTC")
QUERIES = pl.Schema({"query": pl.String, "item": pl.String, "time": MOMENT, "tested": pl.Boolean})
FOUND = pl.Schema({"question": pl.String, "row": pl.String, "as_of": MOMENT, "event": pl.String, "time": MOMENT})
"""A leak: what went wrong, the row, its `as_of`, what should not have been seen, and when that happened."""


@dataclass(frozen=True)
class Evidence:
    """The data as it is, and the words by which prompts show it."""

    events: pl.DataFrame
    """user, item, time, rating (null without ratings), `shown` (the event as a history shows it) and `part` (train,
    validation or test); each is a sample."""
    items: pl.DataFrame
    """item, `name` (as a history calls it), `title`, `described` (the item as the subject of a prompt), and `says`: all
    fields in one text."""
    users: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema={"user": pl.String, "says": pl.String}))
    """user, and `says`: all fields in one text."""
    queries: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=QUERIES))
    """query (normalised), item it led to (or null), time (or null), and `tested`: whether a test asks for it as it was
    at that time."""
    instructions: Mapping[str, str] = field(default_factory=dict)
    """Digest of a prompt -> its text without what a row shows."""
    encoders: Mapping[str, datetime] = field(default_factory=dict)
    """Fingerprint of a tuned encoder -> newest event that its own folder says it has seen."""


def leaks(rows: pl.DataFrame, question: str) -> pl.DataFrame:
    """Bring rows that hold row, as_of, event and time to the columns of `FOUND`."""
    return rows.with_columns(question=pl.lit(question)).select(FOUND.names()).cast(FOUND)
