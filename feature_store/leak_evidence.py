"""The evidence of a leak check: the current data, and the words in which prompts show it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

import polars as pl

MOMENT = pl.Datetime("us", "UTC")
QUERIES = pl.Schema({"query": pl.String, "item": pl.String, "time": MOMENT, "tested": pl.Boolean})
FOUND = pl.Schema({"question": pl.String, "row": pl.String, "as_of": MOMENT, "event": pl.String, "time": MOMENT})
"""A leak: what went wrong, the row, its `as_of`, what should not have been seen, and when that happened."""


@dataclass(frozen=True)
class Evidence:
    """The current data, and the words in which prompts show it."""

    events: pl.DataFrame
    """user, item, time, rating (null without ratings), `part` (train, validation or test), and what says how a history
    shows the event; each is a sample."""
    items: pl.DataFrame
    """item, `name` (as in a history), `title`, `described` (the item as the subject of a prompt), and `says`: all
    fields in one text."""
    users: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema={"user": pl.String, "says": pl.String}))
    """user, and `says`: all fields in one text."""
    queries: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=QUERIES))
    """query (normalised), item it led to (or null), time (or null), and `tested`: whether a test uses it as of that
    time."""
    instructions: Mapping[str, str] = field(default_factory=dict)
    """Digest of a prompt -> its text without the variables of a row."""
    encoders: Mapping[str, datetime] = field(default_factory=dict)
    """Fingerprint of a tuned encoder -> newest event that it has seen, according to its own folder."""
    show: Callable[[pl.DataFrame], pl.DataFrame] = lambda events: events
    """Adds `shown` to some events: the event as a history shows it. By default they have it."""
    rules: str = ""
    """Digest of how the data is read and shown: if it changes, everything is checked again."""


def leaks(rows: pl.DataFrame, question: str) -> pl.DataFrame:
    """Convert rows with row, as_of, event and time to the columns of `FOUND`."""
    return rows.with_columns(question=pl.lit(question)).select(FOUND.names()).cast(FOUND)
