"""The answers table: every call of a model, once, under its content key."""

from collections.abc import Iterable

import polars as pl
import pyarrow as pa

from feature_store.database import Store, Writer
from feature_store.schemas import ANSWERS

TABLE = "answers"


def known_answers(store: Store) -> dict[str, str | None]:
    """All keys with their error; None where the model answered."""
    table = store.read(TABLE, ANSWERS, columns=["key", "error"])
    return dict(zip(table["key"].to_pylist(), table["error"].to_pylist(), strict=True))


def read_answers(store: Store, keys: Iterable[str], version: int | None = None) -> pl.DataFrame:
    """Read the answers of some keys, all columns."""
    wanted = pl.DataFrame({"key": sorted(set(keys))}, schema={"key": pl.String})
    table = store.read(TABLE, ANSWERS, version=version)
    return pl.DataFrame(pl.from_arrow(table)).join(wanted, on="key", how="semi")


def write_answers(writer: Writer, rows: list[dict]) -> int:
    """Commit answers, given as one dict a row with the columns of `schemas.ANSWERS`."""
    return writer.upsert(TABLE, pa.Table.from_pylist(rows, schema=ANSWERS), ANSWERS) if rows else 0
