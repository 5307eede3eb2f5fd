"""What rewritten queries are worth: what every arm finds, by segment, with intervals over queries.

    hit@k = share of the engaged items of a query among the first k results; relevance, increment and hitrate as
    feature_store/feedback.py defines them, with the results of the arm as those of the rewrite.

Means are over queries, each counting once. Intervals: a paired bootstrap that draws queries, the same for all arms.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from evals.intervals import draw, percentile_interval
from evals.search_arms import BUDGET, ORIGINAL, RECORDED, SHORT, Arm
from feature_store.feedback import feedback_of_all, member
from feature_store.relevance import Relevance, relevant_places

REPLICATES = 1_000
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

    def masks(self) -> dict[str, np.ndarray]:
        """Segment -> [Q] bool; they overlap."""
        by_name = {name: self.segment == name for name in ("head", "torso", "tail")}
        every = np.ones(len(self.query), dtype=bool)
        return {"all": every, **by_name, "held_out": self.held_out, HEADLINE: by_name["tail"] & self.held_out}


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
        Arm -> metric -> [Q] float64, NaN where it is undefined.
    """
    places = [
        np.unique(np.concatenate([of, *(arm.found[row] for arm in arms.values())]))
        for row, of in enumerate(queries.engaged)
    ]
    relevant = relevant_places(model, threshold, queries.shown, places)
    sizes = np.array([len(of) for of in queries.engaged])
    out: dict[str, dict[str, np.ndarray]] = {}
    for name, arm in arms.items():
        told = feedback_of_all(arms[ORIGINAL].found, arm.found[:, None], relevant, queries.engaged)
        out[name] = {
            HIT_SHORT: member(arm.first, queries.engaged).sum(axis=1) / sizes,
            HIT: member(arm.found, queries.engaged).sum(axis=1) / sizes,
            **{metric: np.asarray(getattr(told, metric))[:, 0] for metric in ("hitrate", "relevance", "increment")},
        }
    return out


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
        replicates: Resamples of the queries.
        seed: Seed of the resamples.

    Returns:
        `segments`: segment -> queries, original, recorded (hit@50) and gain; `arms`: arm -> segment -> metric -> mean,
        low, high and gain (mean, low, high). None where there is no value.
    """
    draws = draw(max(len(queries.query), 1), 1, replicates, seed).users.astype(np.float64)[: len(queries.query)]
    arms: dict[str, Any] = {name: {} for name in values}
    segments: dict[str, Any] = {}
    for segment, mask in queries.masks().items():
        for metric in METRICS:
            columns = [of[metric] for of in values.values()]
            gains = [column - values[ORIGINAL][metric] for column in columns]
            told = _intervals(np.stack(columns + gains, axis=1)[mask], draws[mask])
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


def _intervals(columns: np.ndarray, draws: np.ndarray) -> list[dict[str, float | None]]:
    """Mean of every column over the queries that have a value there, and its interval under resampled queries.

    Args:
        columns: [n, C], NaN where a query has no value.
        draws: [n, R] how often each query is in each resample.
    """
    known = ~np.isnan(columns)
    filled = np.where(known, columns, 0.0)
    counts = known.sum(axis=0)
    above, below = draws.T @ filled, draws.T @ known  # [R, C]
    means = np.divide(above, below, out=np.full(above.shape, np.nan), where=below > 0)
    out: list[dict[str, float | None]] = []
    for place, count in enumerate(counts):
        low, high = percentile_interval(means[:, place])
        bounds = {"low": None, "high": None} if np.isnan(low) else {"low": low, "high": high}
        out.append({"mean": float(filled[:, place].sum() / count) if count else None, **bounds})
    return out
