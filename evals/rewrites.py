"""Evaluates rewritten queries: what every arm finds, by segment, with intervals over users.

    hit@k = share of the engaged items of a query among the first k results; relevance, increment and hitrate as
    retrieval/feedback.py defines them, with the results of the arm as those of the rewrite.

Means are over queries, each counting once. Intervals draw users (`evals/by_user.py`): a query's part of the mean is
divided among its engaged items, and an item's part among the users who reached it by the query. For hit@k, each of
these users has their own wanted items; the other metrics belong to the query, whichever of its users are drawn.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from base.faults import WrongUse
from base.progress import Progress, silent
from evals.by_user import REPLICATES, Parts, intervals
from evals.lists import MISSED, ranks_in_lists
from retrieval.feedback import feedback_of_all
from retrieval.relevance import Calibration, Relevance, item_places, relevant_places
from retrieval.search import BulkSearch
from retrieval.search_arms import BUDGET, ORIGINAL, RECORDED, SHORT, Arm, Rank, search_arms
from sources.config import QuerySplit, SegmentsConfig
from sources.queries import engagements, query_table, segments, split_queries
from sources.tables import Dataset

HIT, HIT_SHORT = f"hit@{BUDGET}", f"hit@{SHORT}"
METRICS = (HIT_SHORT, HIT, "hitrate", "relevance", "increment")
"""Columns of the result, in order."""
HEADLINE = "held_out_tail"
"""The headline segment: rare queries that nothing was tuned or calibrated on."""


@dataclass(frozen=True)
class Queries:
    """Q queries to evaluate; each led to at least one item."""

    query: Sequence[str]
    """[Q] normalised."""
    shown: Sequence[str]
    """[Q] as typed most often; this text is searched."""
    engaged: Sequence[np.ndarray]
    """[Q] indices of the items that users engaged with."""
    segment: np.ndarray
    """[Q] head, torso or tail."""
    held_out: np.ndarray
    """[Q] bool: whether the query is in the test part."""
    place: np.ndarray
    """[T] int64: the engaged items again, each once for every user who reached it by the query."""
    parts: Parts
    """For each of the T: its query, its user and its weight; weights sum to one over a query."""

    def mean(self, values: np.ndarray) -> np.ndarray:
        """Compute figures of queries from those of their parts: [T] -> [Q]."""
        return np.bincount(self.parts.of, values * self.parts.weight, minlength=len(self.query))

    def masks(self) -> dict[str, np.ndarray]:
        """Map each segment to [Q] bool; segments overlap."""
        by_name = {name: self.segment == name for name in ("head", "torso", "tail")}
        every = np.ones(len(self.query), dtype=bool)
        return {"all": every, **by_name, "held_out": self.held_out, HEADLINE: by_name["tail"] & self.held_out}


@dataclass(frozen=True)
class Judged:
    """The arms on one kind of documents."""

    arms: Mapping[str, Arm]
    """Results of each arm."""
    hits: Mapping[str, np.ndarray]
    """Arm -> [Q] hit@50."""
    summary: Mapping[str, Any]
    """`segments` and `arms`, from `evals.rewrites.summarise`."""


def judged_queries(dataset: Dataset, cuts: SegmentsConfig, split: QuerySplit) -> Queries:
    """Select the queries that led to an item.

    Raises:
        WrongUse: No query led to an item.
    """
    whole = query_table(dataset)
    table = whole.with_columns(
        segments(whole, cuts).alias("segment"), split_queries(whole, split).alias("part")
    ).filter(pl.col("items").list.len() > 0)
    if table.is_empty():
        raise WrongUse(
            "queries: none of them led to an item, so it is unknown what a search should find\n"
            "  map queries.item to the items that queries led to"
        )
    row, place, user = _engaged(dataset, table["query"])
    return Queries(
        table["query"].to_list(),
        table["shown"].to_list(),
        item_places(dataset, table["items"]),
        table["segment"].to_numpy(),
        (table["part"] == "test").to_numpy(),
        place,
        shared(row, place, user),
    )


def _engaged(dataset: Dataset, queries: pl.Series) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return every engagement once: its query's row, its item's index and its user's code, [T] int64 each."""
    found = engagements(dataset)
    user = found["user"].rank("dense").fill_null(0).cast(pl.Int64).to_numpy()  # 0 = unknown user
    rows, places = ({name: at for at, name in enumerate(of)} for of in (queries, dataset.items["item"]))
    row, place = (found[name].replace_strict(of, return_dtype=pl.Int64).to_numpy()
                  for name, of in (("query", rows), ("item", places)))  # fmt: skip
    return row, place, user


def shared(row: np.ndarray, place: np.ndarray, user: np.ndarray) -> Parts:
    """Divide every query equally among its engaged items, and each item equally among its users.

    Args:
        row: [T] the query of every engagement; each combination of query, item and user occurs once.
        place: [T] its item.
        user: [T] its user, as a code from 0.

    Example:
        >>> shared(np.array([0, 0, 0]), np.array([5, 5, 6]), np.array([1, 2, 1])).weight.tolist()
        [0.25, 0.25, 0.5]
    """
    pairs, pair, users = np.unique(np.stack([row, place]), axis=1, return_inverse=True, return_counts=True)
    items = np.bincount(pairs[0], minlength=int(row.max(initial=-1)) + 1)
    return Parts(row, user, 1 / (users[pair.ravel()] * items[row]))


def measure(
    arms: Mapping[str, Arm], queries: Queries, model: Relevance, threshold: float
) -> dict[str, dict[str, np.ndarray]]:
    """Measure what every arm finds for every query.

    Args:
        arms: From `search_arms`; `original` is one of them.
        queries: The queries.
        model: The relevance model.
        threshold: A document with a score above it is relevant.

    Returns:
        Arm -> metric -> [T] float64 for the queries' parts, NaN where undefined.
    """
    places = [
        np.unique(np.concatenate([of, *(arm.found[row] for arm in arms.values())]))
        for row, of in enumerate(queries.engaged)
    ]
    relevant = relevant_places(model, threshold, queries.shown, places)
    of = queries.parts.of
    out: dict[str, dict[str, np.ndarray]] = {}
    for name, arm in arms.items():
        feedback = feedback_of_all(arms[ORIGINAL].found, arm.found[:, None], relevant, queries.engaged)
        out[name] = {
            HIT_SHORT: found(arm.first, of, queries.place),
            HIT: found(arm.found, of, queries.place),
            **{
                metric: np.asarray(getattr(feedback, metric))[of, 0] for metric in ("hitrate", "relevance", "increment")
            },
        }
    return out


def found(ranking: np.ndarray, row: np.ndarray, place: np.ndarray) -> np.ndarray:
    """Return whether each query finds an item: [Q, m] rankings, [T], [T] -> [T] float64."""
    return (ranks_in_lists(ranking, row, place) < MISSED).astype(np.float64)


def summarise(
    values: Mapping[str, Mapping[str, np.ndarray]],
    queries: Queries,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> dict[str, Any]:
    """Compute means and gains over the original query, with intervals, by arm and segment.

    Args:
        values: From `measure`.
        queries: The queries.
        replicates: Resamples of the users.
        seed: Seed of the resamples.

    Returns:
        `segments`: segment -> queries, original, recorded (hit@50) and gain; `arms`: arm -> segment -> metric ->
        the output of `by_user.intervals`, with the same for the gain. None where there is no value.
    """
    draws = queries.parts.draws(replicates, seed)
    arms: dict[str, Any] = {name: {} for name in values}
    by_segment: dict[str, Any] = {}
    for segment, mask in queries.masks().items():
        rows = mask[queries.parts.of]
        parts = queries.parts.where(rows)
        for metric in METRICS:
            columns = [of[metric] for of in values.values()]
            gains = [column - values[ORIGINAL][metric] for column in columns]
            both = intervals(np.stack(columns + gains, axis=1)[rows], parts, draws)
            for index, arm in enumerate(values):
                arms[arm].setdefault(segment, {})[metric] = {**both[index], "gain": both[len(values) + index]}
        original, chosen = arms[ORIGINAL][segment][HIT], arms.get(RECORDED, {}).get(segment, {}).get(HIT, {})
        by_segment[segment] = {
            "queries": int(mask.sum()),
            ORIGINAL: original["mean"],
            RECORDED: chosen.get("mean"),
            "gain": chosen.get("gain"),
        }
    return {"segments": by_segment, "arms": arms}


def compare_arms(
    queries: Queries,
    items: Sequence[str],
    documents: Mapping[str, Sequence[str]],
    rewrites: Mapping[str, Sequence[Sequence[str]]],
    dense: Mapping[str, Rank],
    models: Mapping[str, Relevance],
    calibrations: Mapping[str, Calibration],
    by: str | None = None,
    progress: Progress = silent,
) -> tuple[dict[str, Any], Judged]:
    """Search for every query with every arm, in every kind of documents, and measure the results.

    Args:
        queries: The queries.
        items: [N] ids.
        documents: Kind -> [N] texts; the last one is for the headline.
        rewrites: Source -> [Q] lists of rewrites.
        dense: Kind of documents -> ranking by vectors; empty if there are no vectors.
        models: The relevance models.
        calibrations: Model -> its threshold.
        by: The relevance model to use; None for the one that best separates engaged from random pairs.
        progress: Called with the progress.

    Returns:
        The result as plain JSON, and what the arms found in the documents of the headline.
    """
    model = by or max(calibrations, key=lambda name: calibrations[name].auc)
    threshold = calibrations[model].threshold
    judged: dict[str, Judged] = {}
    for done, (name, texts) in enumerate(documents.items()):
        progress("searching", done, len(documents))
        arms = search_arms(BulkSearch(items, texts), texts, queries.shown, rewrites, dense.get(name))
        values = measure(arms, queries, models[model], threshold)
        hits = {arm: queries.mean(of[HIT]) for arm, of in values.items()}
        judged[name] = Judged(arms, hits, summarise(values, queries))
    progress("searching", len(documents), len(documents))
    main = next(reversed(judged))
    head = judged[main].summary["segments"][HEADLINE]
    result = {
        **{name: head[name] for name in (ORIGINAL, RECORDED, "gain")},
        "queries": len(queries.query),
        "headline": {"segment": HEADLINE, "metric": HIT, "documents": main, "queries": head["queries"]},
        **judged[main].summary,
        "documents": {name: one.summary for name, one in judged.items()},
        "about": {name: arm.about for name, arm in judged[main].arms.items()},
        "rewrites": {name: sum(bool(one) for one in of) for name, of in rewrites.items()},
        "calibration": {
            "model": model,
            **vars(calibrations[model]),
            "models": {name: vars(one) for name, one in calibrations.items()},
        },
        "bootstrap": {"unit": "users", "replicates": REPLICATES, "seed": 0},
    }
    return result, judged[main]
