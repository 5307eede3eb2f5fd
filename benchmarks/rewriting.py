"""The example's tags as queries: its data, its search, and its recorded rewrites judged by that search.

Shared by the benchmarks that tune a model to rewrite (beque_tuning.py, beque_small_model.py).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from app.config import load_config
from app.workplace import open_dataset
from evals.by_user import Parts
from evals.rewrites import shared
from prompts.domain import Domain, load_domain
from retrieval.relevance import LexicalOverlap, Relevance, calibrated
from retrieval.search import BulkSearch, document_texts
from retrieval.simulator import Simulator, judge_candidates
from sources.config import QueriesConfig
from sources.queries import engagements, query_table, split_queries, training_queries
from sources.tables import Dataset
from tuning.candidates import read_candidates
from tuning.config import RewriteConfig
from tuning.instructions import rewrite_mixture
from tuning.mixture import Mixture
from tuning.rejection import keep, rewards

EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "movielens"


@dataclass(frozen=True)
class Shop:
    """The example's data, and what a search of it sees."""

    dataset: Dataset
    """Films, events and tags."""
    domain: Domain
    """The words of the domain."""
    about: QueriesConfig
    """Segments and split of the queries."""
    every: pl.DataFrame
    """All queries, from `sources.queries.query_table`."""
    parts: pl.Series
    """Part of each query: train, validation or test."""
    texts: Sequence[str]
    """Documents: title, genres, year, and the recorded text about the film where there is one."""


def open_shop() -> Shop:
    """Read the example."""
    config = load_config(EXAMPLE / "knowflow.yaml")
    dataset = open_dataset(config)
    assert config.source.queries is not None
    every = query_table(dataset)
    recorded = pl.read_parquet(EXAMPLE / "recorded" / "items.parquet")
    descriptions = dict(recorded.select(pl.col("item_id").cast(pl.String), "answer").iter_rows())
    return Shop(
        dataset,
        load_domain(config.domain, config.folder),
        config.source.queries,
        every,
        split_queries(every, config.source.queries.split),
        document_texts(dataset.items, descriptions=descriptions),
    )


def make_simulator(shop: Shop, model: Relevance | None = None) -> Simulator:
    """Build the search that judges rewrites, with relevance by words in common unless another model is given."""
    model = LexicalOverlap(shop.texts) if model is None else model
    threshold = calibrated(model, shop.dataset, shop.about.split).threshold
    return Simulator(BulkSearch(shop.dataset.items["item"].to_list(), shop.texts), model, threshold)


def recorded_rewrites() -> pl.DataFrame:
    """Read the recorded large model's rewrites: query, thought, rewrite, place."""
    return read_candidates([EXAMPLE / "recorded" / "queries.parquet"])


def judge(shop: Shop, candidates: pl.DataFrame, by: Simulator, config: RewriteConfig) -> pl.DataFrame:
    """Judge rewrites: `judge_candidates` with reward, kept and the part of the query."""
    judged = judge_candidates(shop.every, candidates, by)
    judged = judged.with_columns(rewards(judged, config).alias("reward"), keep(judged, config))
    part_of = pl.DataFrame({"query": shop.every["query"], "part": shop.parts})
    return judged.join(part_of, on="query").sort("query", "place")


def instructions(shop: Shop, judged: pl.DataFrame, config: RewriteConfig) -> Mixture:
    """Mix the four kinds of rows from judged rewrites of training queries, and note the newest event behind them."""
    training = training_queries(shop.dataset, shop.about.split)
    titles = dict(shop.dataset.items.select("item", "title").iter_rows())
    led = training.select("shown", "items").explode("items").drop_nulls("items")
    found = led.select("shown", title=pl.col("items").replace_strict(titles))
    mixture = rewrite_mixture(judged, judged["kept"], found, shop.domain, config)
    return mixture.with_facts(newest_event(training))


def newest_event(training: pl.DataFrame) -> Mapping[str, Mapping[str, str]]:
    """Return the facts of tuning on some queries: the last time that one of them was typed."""
    return {"rewrites": {"newest_event": str(training["last"].max())}}


def users_of(dataset: Dataset, queries: Sequence[str]) -> Parts:
    """Return the users behind some queries, with the shares used in the evaluation of rewrites."""
    row_of = {query: row for row, query in enumerate(queries)}
    table = engagements(dataset).filter(pl.col("query").is_in(list(row_of)))
    item, user = (table[name].rank("dense").fill_null(0).cast(pl.Int64).to_numpy() for name in ("item", "user"))
    return shared(np.array([row_of[query] for query in table["query"]]), item, user)
