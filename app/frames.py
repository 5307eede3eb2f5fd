"""What `knowflow.py` gives back as Polars frames, and tables of other libraries as frames."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import polars as pl
import pyarrow as pa

from app.config import Config
from app.near_items import Kept, near_items
from app.search import search_items
from app.train_runs import TrainRun
from app.workplace import open_dataset, open_store, plan
from base.faults import WrongUse
from evals.tables import arm_rows, gain_rows
from feature_store.lookup import look_up
from feature_store.parquet_chunks import check_distinct
from feature_store.releases import get_release
from retrieval.rewrites import look_up as look_up_rewrites
from sources.queries import check_query

TIME = pl.Datetime("us", "UTC")
KNOWN: dict[str, pl.DataType | type[pl.DataType]] = {
    "task": pl.String,
    "as_of": TIME,
    "created_at": TIME,
    "text": pl.String,
    "prompt": pl.String,
    "model": pl.String,
    "answer": pl.String,
}


@dataclass(frozen=True)
class Training:
    """A finished training run."""

    run: str
    """Its name, such as train-000001; `Project.score` reads the models that it kept."""
    arms: pl.DataFrame
    """One row an arm: metrics on the test rows, means over seeds."""
    gains: pl.DataFrame
    """One row an arm with a trained control: its AUC gains, with 95% intervals."""
    conclusion: str
    """What the comparison shows, in words."""
    result: dict[str, Any]
    """The whole result, as `knowflow train --json` prints it."""


def as_frame(table: Any) -> pl.DataFrame:
    """Take a table of Polars, pandas or Arrow as a Polars frame; the index of pandas is left out.

    Raises:
        WrongUse: It is no table, or two of its columns share a name.
    """
    if isinstance(table, pl.DataFrame):
        return table
    if isinstance(table, pl.LazyFrame):
        return table.collect()
    if type(table).__module__.partition(".")[0] == "pandas" and hasattr(table, "columns"):
        check_distinct(map(str, table.columns), "rows")
        return pl.from_pandas(table)
    if hasattr(table, "__arrow_c_stream__"):
        stream = pa.RecordBatchReader.from_stream(table)
        check_distinct(stream.schema.names, "rows")
        return pl.DataFrame(pl.from_arrow(stream.read_all()))
    raise WrongUse(f"rows: {type(table).__name__} is no table\n  give a Polars, pandas or Arrow table")


def names_of(said: str | Sequence[str] | None) -> tuple[str, ...] | None:
    """Take one name as a list of one.

    Example:
        >>> names_of("kar_user"), names_of(["a", "b"]), names_of(None)
        (('kar_user',), ('a', 'b'), None)
    """
    return (said,) if isinstance(said, str) else None if said is None else tuple(said)


def plan_frame(config: Config, tasks: Sequence[str] | None) -> pl.DataFrame:
    """Plan a refresh: one row a technique, with all of `knowflow plan --json` that is one number or word."""
    rows = [config.prices.priced(planned.summary()) for planned in plan(config, tasks)]
    plain = [{name: value for name, value in row.items() if not isinstance(value, dict | list)} for row in rows]
    return pl.DataFrame(plain, infer_schema_length=None)


def similar_frame(
    config: Config, item: str, k: int, task: str, encoder: str, release: str | None, kept: Kept, *, exact: bool = False
) -> pl.DataFrame:
    """Find the items nearest to an item: item, title, score."""
    near, _, _, items = near_items(config, item, k, task, encoder, release, kept, exact=exact)
    return _with_titles([asdict(one) for one in near], items, {"score": pl.Float64})


def search_frame(
    config: Config, text: str, k: int, task: str | None, encoder: str | None, release: str | None
) -> pl.DataFrame:
    """Find items by a text: item, title, by_words, by_vectors."""
    check_query(text, config.source.longest_query)
    store = open_store(config)
    found = search_items(config, store, get_release(store, release), text, k, task, encoder)
    ranks = {"by_words": pl.Int64, "by_vectors": pl.Int64}
    return _with_titles([asdict(one) for one in found.items], open_dataset(config).items, ranks)


def rewrites_frame(config: Config, query: str, release: str | None) -> pl.DataFrame:
    """Look up the rewrites of a query: text, score, relevance, increment, source, why."""
    check_query(query, config.source.longest_query)
    store = open_store(config)
    served = look_up_rewrites(store, get_release(store, release), query)
    schema = {"text": pl.String, "score": pl.Float64, "relevance": pl.Float64, "increment": pl.Float64}
    table = pl.DataFrame([asdict(one) for one in served.rewrites], schema=schema)
    return table.with_columns(pl.lit(served.source).alias("source"), pl.lit(served.why, pl.String).alias("why"))


def knowledge_frame(
    config: Config, kind: str, entity: str, as_of: datetime | None, tasks: Sequence[str] | None, release: str | None
) -> pl.DataFrame:
    """Look up what a sample at a moment would have seen of an entity: one row a technique, with the columns `KNOWN`."""
    store = open_store(config)
    moment = as_of.replace(tzinfo=UTC) if as_of is not None and as_of.tzinfo is None else as_of
    seen = look_up(store, get_release(store, release), kind, entity, moment).texts
    texts = [one for one in seen if not tasks or one.task in tasks]
    return pl.DataFrame([{name: getattr(one, name) for name in KNOWN} for one in texts], schema=KNOWN)


def training_of(run: TrainRun) -> Training:
    """Return what a finished run has found."""
    result = run.read("result")
    arms, gains = (pl.DataFrame(rows(result)) for rows in (arm_rows, gain_rows))
    return Training(run.name, arms, gains, result["conclusion"], result)


def _with_titles(
    rows: list[dict[str, Any]], items: pl.DataFrame, others: Mapping[str, type[pl.DataType]]
) -> pl.DataFrame:
    """Make a frame of found items with their titles, in the order in which they were found."""
    found = pl.DataFrame(rows, schema={"item": pl.String, **others})
    titled = found.join(items.select("item", "title"), on="item", how="left", maintain_order="left")
    return titled.select("item", "title", *others)
