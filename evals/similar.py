"""Item to item: how many of the items that people go on to are among the nearest ones.

Measure:   recall@k = mean over query items of the share of their targets among the k best of all other items. The query
           itself is never in its pool. Of equal scores the item that stands first in the pool is taken.
Prior:     score + w log(1 + events of the item); w is chosen on items that neither tune nor test, for every arm alike.
Lift:      popular items are everybody's targets, so that an arm may only have learnt what is popular. Pairs are ranked
           a second time by lift(A -> B) = s(A -> B) / (e + c), where e = s(A -> all) s(all -> B) / s(all -> all) is the
           score by popularity alone, and c the score that one average user gives: without it a pair that one user made
           of two rare items would beat every other one. The best ten of each source count.
Source:    Zhang et al. 2024, "NoteLLM", section 4.2, for the measure; docs/explanation/notellm.md for what came of it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import polars as pl

from evals.intervals import mean_interval
from feature_store.pool import normalised as unit_length

AT = (10, 100, 1000)
HEADLINE = 100
WEIGHTS = (0.0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 3.0)
"""Weights of the prior that are tried; of equally good ones the first is taken."""
COLD = 5
"""A query item with fewer training events is cold."""
REPLICATES = 1_000
PAIRS_AT_ONCE = 512
Score = Callable[[np.ndarray], np.ndarray]
"""Takes [S] places of query items; gives [S, N] scores of all items."""


@dataclass(frozen=True)
class Pairs:
    """What is to be found: P pairs of S query items."""

    query: np.ndarray
    """[S] int64: places of the query items, ascending."""
    row: np.ndarray
    """[P] int64: the query of each pair, as a row of `query`."""
    target: np.ndarray
    """[P] int64: place of the item that is to be found."""


def choose_pairs(table: pl.DataFrame, items: Sequence[str], sources: np.ndarray, targets: np.ndarray) -> Pairs:
    """Take the pairs whose ends may be asked for and found.

    Args:
        table: source and target, from `llm_tasks.note_pairs.note_pairs`.
        items: [N] ids of the pool.
        sources: [N] bool: items that may be queries.
        targets: [N] bool: items that may be found.
    """
    place = {item: number for number, item in enumerate(items)}
    ends = [(place[one], place[other]) for one, other in table.select("source", "target").iter_rows()]
    kept = np.array([end for end in ends if sources[end[0]] and targets[end[1]]], dtype=np.int64).reshape(-1, 2)
    query, row = np.unique(kept[:, 0], return_inverse=True)
    return Pairs(query, row, kept[:, 1])


def by_lift(table: pl.DataFrame, one_user: float, top: int = 10) -> pl.DataFrame:
    """Rank pairs by lift instead of score, and keep the best of each source.

    Args:
        table: source, target, score of all pairs, not of the best alone.
        one_user: The score that one average user gives a pair.
        top: Pairs kept of each source.

    Returns:
        source, target, score (the lift), sorted by source, falling lift, target.
    """
    total = pl.col("score").sum()
    expected = pl.col("score").sum().over("source") * pl.col("score").sum().over("target") / total
    lift = table.with_columns(score=pl.col("score") / (expected + one_user))
    ordered = lift.sort("source", "score", "target", descending=[False, True, False])
    return ordered.group_by("source", maintain_order=True).head(top)


def recalls(score: Score, pairs: Pairs, at: Sequence[int] = AT) -> np.ndarray:
    """Recall of every query: [S, K] float64.

    Example:
        >>> line = np.array([[0.0, 2.0, 1.0]])
        >>> recalls(lambda _: line, Pairs(np.array([0]), np.array([0]), np.array([2])), at=(1, 2)).tolist()
        [[0.0, 1.0]]
    """
    near = np.array(score(pairs.query), dtype=np.float64)  # [S, N]
    near[np.arange(len(near)), pairs.query] = -np.inf
    wanted = np.bincount(pairs.row, minlength=len(near))
    rank = np.concatenate([np.zeros(0, dtype=np.int64), *map(partial(_ranks, near), _chunks(pairs))])  # [P]
    return np.stack([np.bincount(pairs.row, rank < k, minlength=len(near)) / wanted for k in at], axis=1)


def _chunks(pairs: Pairs) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for start in range(0, len(pairs.row), PAIRS_AT_ONCE):
        yield pairs.row[start : start + PAIRS_AT_ONCE], pairs.target[start : start + PAIRS_AT_ONCE]


def _ranks(near: np.ndarray, ends: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Place of each target among all items, from 0: those that are nearer, and those as near that stand before it."""
    row, target = ends
    own, of = near[row, target][:, None], near[row]  # [p, 1], [p, N]
    before = np.arange(near.shape[1])[None] < target[:, None]
    return ((of > own) | ((of == own) & before)).sum(axis=1)


def cosine(vectors: np.ndarray) -> Score:
    """Score by cosine: [N, d]; items without a vector (zeros) are like nothing."""
    unit = unit_length(vectors)
    return lambda query: unit[query] @ unit.T


def with_prior(score: Score, popularity: np.ndarray, weight: float) -> Score:
    """Add a prior: score + weight * log(1 + popularity), [N]."""
    prior = weight * np.log1p(popularity)
    return lambda query: score(query) + prior


def choose_weight(score: Score, popularity: np.ndarray, pairs: Pairs) -> float:
    """The weight of the prior with the best recall@100 of some pairs, which must not be those that test."""
    found = [float(recalls(with_prior(score, popularity, w), pairs, (HEADLINE,)).mean()) for w in WEIGHTS]
    return WEIGHTS[int(np.argmax(found))]


def gain(arm: np.ndarray, control: np.ndarray, seed: int = 0) -> dict[str, float]:
    """Mean difference over query items and its interval by a paired bootstrap over them: [S], [S]."""
    return mean_interval(arm - control, REPLICATES, seed)


def evaluate_setting(
    arms: Mapping[str, Score], popularity: np.ndarray, pairs: Pairs, validation: Pairs, frozen: str, tuned: str
) -> dict[str, Any]:
    """Measure all arms, each with and without the prior.

    Args:
        arms: Name -> score; `popularity` is among them and gets no prior.
        popularity: [N] training events of each item.
        pairs: Those that test.
        validation: Those on which the weight of the prior is chosen.
        frozen: Name of the arm that the tuned one must beat.
        tuned: Name of the tuned arm.

    Returns:
        `arms` (name -> recall, recall of cold queries, prior_weight), `gain`, `prior_gain`, counts.
    """
    found: dict[str, np.ndarray] = {}
    weight: dict[str, float] = {}
    for name, score in arms.items():
        found[name] = recalls(score, pairs)
        if name != "popularity":
            both = f"{name} + prior"
            weight[both] = choose_weight(score, popularity, validation)
            found[both] = recalls(with_prior(score, popularity, weight[both]), pairs)
    cold = popularity[pairs.query] < COLD
    place = AT.index(HEADLINE)
    return {
        "queries": len(pairs.query),
        "cold_queries": int(cold.sum()),
        "pairs": len(pairs.target),
        "arms": {
            name: {
                "recall": by_k(values),
                "cold": by_k(values[cold]) if cold.any() else None,
                "prior_weight": weight.get(name),
            }
            for name, values in found.items()
        },
        "gain": gain(found[tuned][:, place], found[frozen][:, place]),
        "prior_gain": gain(found[f"{tuned} + prior"][:, place], found["popularity"][:, place]),
    }


def by_k(values: np.ndarray) -> dict[str, float]:
    """Mean recall at each length of the list, from `recalls`: [S, K]."""
    return {str(k): float(mean) for k, mean in zip(AT, values.mean(axis=0), strict=True)}
