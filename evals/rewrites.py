"""What rewritten queries are worth: what every arm finds, by segment, with intervals over users.

    hit@k = share of the engaged items of a query among the first k results; relevance, increment and hitrate as
    retrieval/feedback.py defines them, with the results of the arm as those of the rewrite.

Means are over queries, each counting once. Intervals draw users (`evals/by_user.py`): a query's part of the mean is
divided among its engaged items, and that of an item among the users who came to it by the query. hit@k takes along what
each of these users should find; the other metrics are the query's own, whoever of its users is drawn.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from evals.by_user import REPLICATES, Parts, intervals
from retrieval.feedback import feedback_of_all
from retrieval.relevance import Relevance, relevant_places
from retrieval.search_arms import BUDGET, ORIGINAL, RECORDED, SHORT, Arm

HIT, HIT_SHORT = f"hit@{BUDGET}", f"hit@{SHORT}"
METRICS = (HIT_SHORT, HIT, "hitrate", "relevance", "increment")
"""Columns of the result, in order."""
HEADLINE = "held_out_tail"
"""The segment of the headline: rare queries that nothing was tuned or calibrated on."""


@dataclass(frozen=True)
class Queries:
    """Q queries that are judged; each led to an item at least."""

    query: Sequence[str]
    """[Q] normalised."""
    shown: Sequence[str]
    """[Q] as typed most often; what is searched."""
    engaged: Sequence[np.ndarray]
    """[Q] places of the items that users engaged with."""
    segment: np.ndarray
    """[Q] head, torso or tail."""
    held_out: np.ndarray
    """[Q] bool: of the test part."""
    place: np.ndarray
    """[T] int64: engaged items once more, each once for every user who came to it by the query."""
    parts: Parts
    """Of T: the query and the user of each, and their weights, which sum to one over a query."""

    def mean(self, values: np.ndarray) -> np.ndarray:
        """Figures of the queries from those of their parts: [T] -> [Q]."""
        return np.bincount(self.parts.of, values * self.parts.weight, minlength=len(self.query))

    def masks(self) -> dict[str, np.ndarray]:
        """Segment -> [Q] bool; they overlap."""
        by_name = {name: self.segment == name for name in ("head", "torso", "tail")}
        every = np.ones(len(self.query), dtype=bool)
        return {"all": every, **by_name, "held_out": self.held_out, HEADLINE: by_name["tail"] & self.held_out}


def shared(row: np.ndarray, place: np.ndarray, user: np.ndarray) -> Parts:
    """Divide every query among its engaged items, and each of these among its users, evenly.

    Args:
        row: [T] the query of every engagement; query, item and user together occur once.
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
    """Judge what every arm finds for every query.

    Args:
        arms: From `search_arms`; `original` is one of them.
        queries: The queries.
        model: Says how relevant a document is to a query.
        threshold: From above which score it is relevant.

    Returns:
        Arm -> metric -> [T] float64 of the queries' parts, NaN where it is undefined.
    """
    places = [
        np.unique(np.concatenate([of, *(arm.found[row] for arm in arms.values())]))
        for row, of in enumerate(queries.engaged)
    ]
    relevant = relevant_places(model, threshold, queries.shown, places)
    of = queries.parts.of
    out: dict[str, dict[str, np.ndarray]] = {}
    for name, arm in arms.items():
        told = feedback_of_all(arms[ORIGINAL].found, arm.found[:, None], relevant, queries.engaged)
        out[name] = {
            HIT_SHORT: found(arm.first, of, queries.place),
            HIT: found(arm.found, of, queries.place),
            **{metric: np.asarray(getattr(told, metric))[of, 0] for metric in ("hitrate", "relevance", "increment")},
        }
    return out


def found(ranking: np.ndarray, row: np.ndarray, place: np.ndarray) -> np.ndarray:
    """Whether a query finds a place: [Q, m] rankings, [T], [T] -> [T] float64."""
    width = np.int64(max(ranking.max(initial=0), place.max(initial=0)) + 1)  # a code for each (query, place)
    codes = (np.arange(len(ranking))[:, None] * width + ranking)[ranking >= 0]
    return np.isin(row * width + place, codes).astype(np.float64)


def summarise(
    values: Mapping[str, Mapping[str, np.ndarray]],
    queries: Queries,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> dict[str, Any]:
    """Means and gains over the original query, with intervals, by arm and segment.

    Args:
        values: From `measure`.
        queries: The queries.
        replicates: Resamples of the users.
        seed: Seed of the resamples.

    Returns:
        `segments`: segment -> queries, original, recorded (hit@50) and gain; `arms`: arm -> segment -> metric ->
        what `by_user.intervals` tells, and the same of the gain. None where there is no value.
    """
    draws = queries.parts.draws(replicates, seed)
    arms: dict[str, Any] = {name: {} for name in values}
    segments: dict[str, Any] = {}
    for segment, mask in queries.masks().items():
        rows = mask[queries.parts.of]
        parts = queries.parts.where(rows)
        for metric in METRICS:
            columns = [of[metric] for of in values.values()]
            gains = [column - values[ORIGINAL][metric] for column in columns]
            told = intervals(np.stack(columns + gains, axis=1)[rows], parts, draws)
            for place, arm in enumerate(values):
                arms[arm].setdefault(segment, {})[metric] = {**told[place], "gain": told[len(values) + place]}
        original, chosen = arms[ORIGINAL][segment][HIT], arms.get(RECORDED, {}).get(segment, {}).get(HIT, {})
        segments[segment] = {
            "queries": int(mask.sum()),
            ORIGINAL: original["mean"],
            RECORDED: chosen.get("mean"),
            "gain": chosen.get("gain"),
        }
    return {"segments": segments, "arms": arms}
