"""Rejection sampling: of all rewrites only those are learnt that find what is relevant, and find more of it.

Paper:     Peng et al. 2024, "Large Language Model based Long-tail Query Rewriting in Taobao Search" (BEQUE, arXiv
           2311.03758), sections 3.2 and 3.3.
Idea:      a search over the catalogue judges every rewrite, so that no human label is needed.
Formula:   kept when relevance > tau_rele and increment > tau_incr; reward = weighted mean of relevance, increment / (1
           + increment) and min(hitrate, 1), brought to 0..1 within each query.
Relations: `retrieval/feedback.py` has the three measures; what is kept here is learnt by `instructions.py`, and the
           rewards are ranked by `preference.py`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from base.progress import Progress, silent
from retrieval.feedback import feedback_of_all
from retrieval.relevance import Relevance, relevant_places
from retrieval.search import BulkSearch
from tuning.config import RewriteConfig
from tuning.losses import TIED

MEASURES = ("relevance", "increment", "hitrate")
AT_ONCE = 1_000
"""Queries that are judged together, which bounds the memory."""


@dataclass(frozen=True)
class Judge:
    """The search and the relevance model by which rewrites are judged."""

    search: BulkSearch
    """Ranks the catalogue."""
    model: Relevance
    """The relevance model f."""
    threshold: float
    """An item is relevant to a query when f is above it."""
    results: int = 50
    """Results of a search that count."""


def judge(queries: pl.DataFrame, candidates: pl.DataFrame, by: Judge, progress: Progress = silent) -> pl.DataFrame:
    """Judge rewrites; those of queries that are not in the table are left out.

    Args:
        queries: query, shown, items (List(String), engaged items), from `sources.queries`.
        candidates: From `candidates.candidate_table`.
        by: Search and relevance model.
        progress: Told how many queries are done.

    Returns:
        The candidates with `shown`, relevance, increment and hitrate (Float64; hitrate is null where no engaged item is
        relevant), sorted by query and place.
    """
    known = {item: place for place, item in enumerate(by.search.items)}
    wanted = queries.select("query", "shown", "items")
    by_query = candidates.join(wanted, on="query").sort("query", "place").partition_by("query", maintain_order=True)
    found: list[pl.DataFrame] = []
    for start in range(0, len(by_query), AT_ONCE):
        part = by_query[start : start + AT_ONCE]
        engaged = [
            np.array(sorted({known[item] for item in one["items"].to_list()[0] or () if item in known}), dtype=np.int32)
            for one in part
        ]
        found += [
            one.drop("items").with_columns(**{name: pl.Series(values) for name, values in measures.items()})
            for one, measures in zip(part, _measures(part, engaged, by), strict=True)
        ]
        progress("judging rewrites", start + len(part), len(by_query))
    columns = {**candidates.schema, "shown": pl.String, **dict.fromkeys(MEASURES, pl.Float64)}
    table = pl.concat(found) if found else pl.DataFrame(schema=columns)
    return table.with_columns(pl.col("hitrate").fill_nan(None)).select(*columns)


def _measures(part: Sequence[pl.DataFrame], engaged: Sequence[np.ndarray], by: Judge) -> list[dict[str, np.ndarray]]:
    """The three measures of every candidate: a mapping of name to [n] a query."""
    names = [one["query"][0] for one in part]
    counts = [len(one) for one in part]
    original = by.search.search(names, by.results)  # [Q, k]
    ranked = by.search.search([text for one in part for text in one["rewrite"]], by.results)  # [sum of n, k]
    rewritten = np.full((len(part), max(counts), by.results), -1, dtype=np.int32)  # [Q, n, k]
    rewritten[np.arange(max(counts)) < np.array(counts)[:, None]] = ranked
    seen = [
        np.unique(np.concatenate([original[row], rewritten[row].ravel(), engaged[row]])) for row in range(len(part))
    ]
    relevant = relevant_places(by.model, by.threshold, names, [places[places >= 0] for places in seen])
    said = feedback_of_all(original, rewritten, relevant, engaged)
    return [
        {name: np.asarray(getattr(said, name), dtype=np.float64)[row, :count] for name in MEASURES}
        for row, count in enumerate(counts)
    ]


def keep(judged: pl.DataFrame, config: RewriteConfig) -> pl.Series:
    """Say of every judged rewrite whether it passes both filters: [n] Boolean `kept`."""
    passes = (pl.col("relevance") > config.min_relevance) & (pl.col("increment") > config.min_increment)
    return judged.select(passes.alias("kept"))["kept"]


def rewards(judged: pl.DataFrame, config: RewriteConfig) -> pl.Series:
    """The reward of every judged rewrite: [n] Float64 `reward`, from 0 to 1 within its query, 0 where all are equal.

    Increment and hitrate may be far above 1 where a query finds next to nothing, and would drown relevance: increment
    is damped as in the served table, hitrate counts up to 1. Where no hitrate is known, the other two decide.

    Example:
        >>> judged = pl.DataFrame({"query": ["a", "a", "a"], "relevance": [0.2, 0.4, 0.4], "increment": [0.0, 9.0, 0.5],
        ...                        "hitrate": [None, None, None]}, schema_overrides={"hitrate": pl.Float64})
        >>> rewards(judged, RewriteConfig()).round(3).to_list()  # (0.2, 1.3, 0.733) / 2 before
        [0.0, 1.0, 0.485]
    """
    weights = {"relevance": config.relevance_weight, "increment": config.increment_weight}
    weights["hitrate"] = config.hitrate_weight
    measured = {name: pl.col(name) for name in MEASURES}
    measured["increment"] = pl.col("increment") / (1 + pl.col("increment"))
    measured["hitrate"] = pl.col("hitrate").clip(upper_bound=1.0)
    total = pl.sum_horizontal(weight * measured[name].fill_null(0.0) for name, weight in weights.items())
    known = pl.sum_horizontal(weight * measured[name].is_not_null() for name, weight in weights.items())
    mean = pl.when(known > 0).then(total / known).otherwise(0.0).alias("mean")
    low, high = pl.col("mean").min().over("query"), pl.col("mean").max().over("query")
    scaled = pl.when(high - low > TIED).then((pl.col("mean") - low) / (high - low)).otherwise(0.0)
    return judged.with_columns(mean).select(scaled.alias("reward"))["reward"]
