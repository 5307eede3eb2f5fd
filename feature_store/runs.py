"""The runs table: what each generation run took, so that the next plan can say how long it will take."""

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import polars as pl
import pyarrow as pa

from feature_store.database import Store, Writer
from feature_store.schemas import RUNS

TABLE = "runs"


def write_run(writer: Writer, run: dict[str, Any]) -> None:
    """Note one run: a dict with the columns of `schemas.RUNS` but for its name and its end, which is now."""
    row = {"run": uuid4().hex, "ended_at": datetime.now(UTC), **run}
    writer.upsert(TABLE, pa.Table.from_pylist([row], schema=RUNS), RUNS)


def read_runs(store: Store) -> pl.DataFrame:
    """All runs, oldest first."""
    return pl.DataFrame(pl.from_arrow(store.read(TABLE, RUNS))).sort("ended_at")
