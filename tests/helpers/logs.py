"""Small logs for properties of techniques that read events, and the tables they become."""

from datetime import UTC, datetime, timedelta

import polars as pl
from hypothesis import strategies as st

from sources.config import SplitConfig
from sources.events import with_parts
from sources.tables import Dataset

START = datetime(2024, 1, 1, tzinfo=UTC)

# A log is a list of (minute, item, rating); several events may share a minute, and a user rates an item once a minute.
event = st.tuples(st.integers(0, 8), st.integers(0, 9), st.sampled_from([0.5, 3.0, 4.5, 5.0]))
log = st.lists(event, max_size=14, unique_by=lambda row: row[:2])


def dataset(logs: dict[str, list[tuple[int, int, float]]]) -> Dataset:
    """Canonical tables: item 3 is called `Film 3`, and events are sorted by (time, item, user) and parted by default."""
    rows = sorted((minute, item, user, rating) for user, rows in logs.items() for minute, item, rating in rows)
    events = pl.DataFrame(
        {
            "user": pl.Series([user for _, _, user, _ in rows], dtype=pl.String),
            "item": pl.Series([str(item) for _, item, _, _ in rows], dtype=pl.String),
            "time": pl.Series([START + timedelta(minutes=m) for m, *_ in rows], dtype=pl.Datetime("us", "UTC")),
            "rating": pl.Series([rating for *_, rating in rows], dtype=pl.Float32),
        }
    ).with_columns(
        (pl.col("rating") >= 4).cast(pl.Float32).alias("label"),
        pl.int_range(pl.len(), dtype=pl.UInt32).over("user").alias("position"),
    )
    items = pl.DataFrame({"item": [str(i) for i in range(10)], "title": [f"Film {i}" for i in range(10)]})
    return Dataset(with_parts(events, SplitConfig()), items, None, None, (), (), (), "test")
