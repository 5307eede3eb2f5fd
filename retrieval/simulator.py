"""The search simulator of BEQUE: search for queries and their rewrites, and judge every rewrite by its results.

Source: Peng et al. 2024, "Large Language Model based Long-tail Query Rewriting in Taobao Search" (arXiv 2311.03758),
section 4.3; `retrieval/feedback.py` has the measures. The served table and the tuning of a rewriter use the same
simulator.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import polars as pl

from base.progress import Progress, silent
from retrieval.feedback import Feedback, feedback_of_all
from retrieval.relevance import Relevance, relevant_places
from retrieval.rewrites import Weights, cleaned, ranked
from retrieval.search import BulkSearch
from retrieval.search_arms import search_rewrites

MEASURES = tuple(field.name for field in fields(Feedback))
AT_ONCE = 1_000
"""Queries judged together, to limit memory."""


@dataclass(frozen=True)
class Simulator:
    """The search and the relevance model that judge rewrites."""

    search: BulkSearch
    """Ranks the catalogue."""
    model: Relevance
    """The relevance model f."""
    threshold: float
    """An item is relevant to a query when f is above it."""
    results: int = 50
    """Results of a search that count."""


def judge_rewrites(
    by: Simulator, queries: Sequence[str], rewrites: Sequence[Sequence[str]]
) -> tuple[list[list[float]], list[list[float]]]:
    """Search for queries and rewrites, and judge every rewrite by its results, without engaged items.

    Args:
        by: The simulator.
        queries: [Q].
        rewrites: [Q] lists of at most n rewrites.

    Returns:
        Relevance and increment, [Q, n] each; 0 where a query has fewer rewrites.
    """
    original = by.search.search(queries, by.results)  # [Q, k]
    rewritten = search_rewrites(by.search, rewrites, by.results)  # [Q, n, k]
    places = np.concatenate([original[:, None], rewritten], axis=1).reshape(len(queries), -1)  # [Q, (1 + n) k]
    relevant = relevant_places(by.model, by.threshold, queries, list(places))
    none = [np.array([], dtype=np.int64)] * len(queries)
    found = feedback_of_all(original, rewritten, relevant, none)
    return np.asarray(found.relevance).tolist(), np.asarray(found.increment).tolist()


def judge_candidates(
    queries: pl.DataFrame, candidates: pl.DataFrame, by: Simulator, progress: Progress = silent
) -> pl.DataFrame:
    """Judge rewrites; leave out those of queries that are not in the table.

    Args:
        queries: query, shown, items (List(String), engaged items), from `sources.queries`.
        candidates: query, thought, rewrite, place, from `tuning.candidates.candidate_table`.
        by: The simulator.
        progress: Called with the number of queries done.

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


def _measures(
    part: Sequence[pl.DataFrame], engaged: Sequence[np.ndarray], by: Simulator
) -> list[dict[str, np.ndarray]]:
    """Return the three measures of every candidate: one mapping of name -> [n] per query."""
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


def rank_answers(asked: pl.DataFrame, by: Simulator, weights: Weights) -> list[dict[str, Any]]:
    """Rank the rewrites in a model's answers.

    Args:
        asked: query, shown, text (one rewrite per line), answer_key, prompt, model, answered_at.
        by: The simulator.
        weights: Weights of the score.

    Returns:
        One row per query, for `rewrite_table.RewriteTable`.
    """
    proposed = [cleaned(query, text.split("\n")) for query, text in asked.select("query", "text").iter_rows()]
    judged = judge_rewrites(by, asked["query"].to_list(), proposed)
    rows = []
    for row, rewrites, relevance, increment in zip(asked.iter_rows(named=True), proposed, *judged, strict=True):
        number = len(rewrites)
        best = ranked(rewrites, relevance[:number], increment[:number], weights)
        rows.append(
            {
                "query": row["query"],
                "shown": row["shown"],
                "rewrites": [vars(one) for one in best],
                "dropped": len(row["text"].split("\n")) - number,
                "answer_key": row["answer_key"],
                "prompt": row["prompt"],
                "model": row["model"],
                "answered_at": row["answered_at"],
            }
        )
    return rows
