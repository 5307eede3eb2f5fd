"""The runs table: tokens and time of each generation run, from which the next plan estimates its own."""

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import polars as pl
import pyarrow as pa

from feature_store.database import Store, Writer
from feature_store.schemas import RUNS

TABLE = "runs"


def write_run(writer: Writer, run: dict[str, Any]) -> None:
    """Record a run: a dict with the columns of `schemas.RUNS` except its name and its end, which is now."""
    row = {"run": uuid4().hex, "ended_at": datetime.now(UTC), **run}
    writer.upsert(TABLE, pa.Table.from_pylist([row], schema=RUNS), RUNS)


def read_runs(store: Store) -> pl.DataFrame:
    """Return all runs, oldest first."""
    return pl.DataFrame(pl.from_arrow(store.read(TABLE, RUNS))).sort("ended_at")
