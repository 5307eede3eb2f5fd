"""Item to item: how many of the items that people choose next are among the nearest ones.

Measure:   recall@k (`evals/measures/found.py`): mean over query items of the share of their targets among the k best of
           all other items. The query itself is never in its pool. Among equal scores, the item that comes first in the
           pool is taken.
Prior:     score + w log(1 + events of the item); for every arm, w is chosen on items of neither tuning nor test.
Lift:      popular items are targets of many items, so an arm may only have learnt what is popular. Pairs are ranked a
           second time by lift(A -> B) = s(A -> B) / (e + c), where e = s(A -> all) s(all -> B) / s(all -> all) is the
           score by popularity alone, and c the score that one average user gives: without it, a pair that one user
           made of two rare items would beat all others. The best ten pairs of each source count.
Intervals: draw users (`evals/by_user.py`). Queries have equal weight, and so have the targets of a query. A target's
           part is divided among the users who went from the query to it, in proportion to their part of the pair's
           score, 1 / N_u each. The pairs to find stay the same.
Source:    Zhang et al. 2024, "NoteLLM", section 4.2, for the measure; docs/explanation/notellm.md for the results.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from evals.by_user import REPLICATES, Parts, intervals
from evals.lists import Lists, ranks_by_score
from evals.measures.found import recall
from retrieval.vectors import unit_length

AT = (10, 100, 1000)
HEADLINE = 100
WEIGHTS = (0.0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 3.0)
"""Weights of the prior to try; among equally good ones the first is taken."""
COLD = 5
"""A query item with fewer training events is cold."""
Score = Callable[[np.ndarray], np.ndarray]
"""Takes [S] indices of query items and returns [S, N] scores of all items."""


@dataclass(frozen=True)
class Pairs:
    """The pairs to find: P pairs of S query items."""

    query: np.ndarray
    """[S] int64: indices of the query items, ascending."""
    row: np.ndarray
    """[P] int64: the query of each pair, as a row of `query`."""
    target: np.ndarray
    """[P] int64: index of the item to find."""
    parts: Parts | None = None
    """The users behind each of the P pairs, and their weights in a mean over queries; None if not needed."""


def choose_pairs(
    table: pl.DataFrame,
    items: Sequence[str],
    sources: np.ndarray,
    targets: np.ndarray,
    users: pl.DataFrame | None = None,
) -> Pairs:
    """Select the pairs whose source may be a query and whose target may be found.

    Args:
        table: source and target, from `tuning.note_pairs.note_pairs`.
        items: [N] ids of the pool.
        sources: [N] bool: items that may be queries.
        targets: [N] bool: items that may be found.
        users: source, target, user and weight, from `tuning.note_pairs.pair_users`, for every pair.
    """
    place = {item: number for number, item in enumerate(items)}
    ends = [(place[one], place[other]) for one, other in table.select("source", "target").iter_rows()]
    chosen = np.array([bool(sources[one] and targets[other]) for one, other in ends], dtype=bool)
    kept = np.array(ends, dtype=np.int64).reshape(-1, 2)[chosen]
    query, row = np.unique(kept[:, 0], return_inverse=True)
    parts = None if users is None else _parts(table.filter(chosen), row, users)
    return Pairs(query, row, kept[:, 1], parts)


def _parts(table: pl.DataFrame, row: np.ndarray, users: pl.DataFrame) -> Parts:
    """Divide the weight of every pair among its users, in proportion to their part of its score."""
    numbered = table.select("source", "target", pair=pl.int_range(pl.len(), dtype=pl.Int64))
    found = numbered.join(users, on=["source", "target"]).sort("pair", "user")
    share = found.select(pl.col("weight") / pl.col("weight").sum().over("pair"))["weight"].to_numpy()
    pair, (_, user) = found["pair"].to_numpy(), np.unique(found["user"].to_numpy(), return_inverse=True)
    counts = (
        1 / np.bincount(row)[row] if len(row) else np.zeros(0)
    )  # [P] equal weight for queries, and for targets of a query
    return Parts(pair, user, share * counts[pair])


def by_lift(table: pl.DataFrame, one_user: float, top: int = 10) -> pl.DataFrame:
    """Rank pairs by lift instead of score, and keep the best of each source.

    Args:
        table: source, target, score of all pairs, not only of the best.
        one_user: The score that one average user gives to a pair.
        top: Number of pairs to keep per source.

    Returns:
        source, target, score (the lift), sorted by source, falling lift, target.
    """
    total = pl.col("score").sum()
    expected = pl.col("score").sum().over("source") * pl.col("score").sum().over("target") / total
    lift = table.with_columns(score=pl.col("score") / (expected + one_user))
    ordered = lift.sort("source", "score", "target", descending=[False, True, False])
    return ordered.group_by("source", maintain_order=True).head(top)


def ranked(score: Score, pairs: Pairs) -> Lists:
    """Rank the target of each pair among all items except the query itself."""
    near = np.array(score(pairs.query), dtype=np.float64)  # [S, N]
    near[np.arange(len(near)), pairs.query] = -np.inf
    rank = ranks_by_score(near, pairs.row, pairs.target)  # [P]
    return Lists(np.zeros((len(near), 0), dtype=np.int64), pairs.row, rank, np.zeros(near.shape[1]))


def hits(lists: Lists, k: int) -> np.ndarray:
    """Return whether the target of each pair is among the k best: [P] bool."""
    return lists.rank < k


def recalls(score: Score, pairs: Pairs, at: Sequence[int] = AT) -> np.ndarray:
    """Compute the recall of every query: [S, K] float64.

    Example:
        >>> line = np.array([[0.0, 2.0, 1.0]])
        >>> recalls(lambda _: line, Pairs(np.array([0]), np.array([0]), np.array([2])), at=(1, 2)).tolist()
        [[0.0, 1.0]]
    """
    return _recalls(ranked(score, pairs), at)


def _recalls(lists: Lists, at: Sequence[int]) -> np.ndarray:
    """Compute the recall of every query at each length: [S, K]."""
    return np.stack([recall(lists, k) for k in at], axis=1)


def cosine(vectors: np.ndarray) -> Score:
    """Score by cosine of vectors [N, d]; items without a vector (zeros) are similar to nothing."""
    unit = unit_length(vectors)
    return lambda query: unit[query] @ unit.T


def with_prior(score: Score, popularity: np.ndarray, weight: float) -> Score:
    """Add a prior: score + weight * log(1 + popularity), [N]."""
    prior = weight * np.log1p(popularity)
    return lambda query: score(query) + prior


def choose_weight(score: Score, popularity: np.ndarray, pairs: Pairs, k: int = HEADLINE) -> float | None:
    """Return the weight of the prior with the best recall@k on some pairs, which must not be test pairs.

    Return None if there are no pairs.
    """
    if not len(pairs.target):
        return None
    found = [float(recalls(with_prior(score, popularity, w), pairs, (k,)).mean()) for w in WEIGHTS]
    return WEIGHTS[int(np.argmax(found))]


def gain(arm: np.ndarray, control: np.ndarray, pairs: Pairs, seed: int = 0) -> dict[str, Any]:
    """Compute the difference of two recalls and its interval by a paired bootstrap over users.

    Args:
        arm: [P] bool: whether the arm finds the target of each pair.
        control: [P] bool: whether the control does.
        pairs: The pairs, with their users.
        seed: Seed of the draws.

    Returns:
        mean, low, high, users and largest_user, from `by_user.intervals`.
    """
    assert pairs.parts is not None
    difference = (arm.astype(np.float64) - control)[pairs.parts.of, None]
    return intervals(difference, pairs.parts, pairs.parts.draws(REPLICATES, seed))[0]


def evaluate_setting(
    arms: Mapping[str, Score],
    popularity: np.ndarray,
    pairs: Pairs,
    validation: Pairs,
    frozen: str,
    tuned: str,
    at: Sequence[int] = AT,
    headline: int = HEADLINE,
) -> dict[str, Any]:
    """Measure all arms, each with and without the prior.

    Args:
        arms: Name -> score; `popularity` is among them and gets no prior.
        popularity: [N] training events of each item.
        pairs: The test pairs, with their users.
        validation: The pairs for choosing the weight of the prior.
        frozen: Name of the arm that the tuned one must beat.
        tuned: Name of the tuned arm.
        at: Lengths of the list.
        headline: The length for choosing the weight and reporting gains.

    Returns:
        `arms` (name -> recall, recall of cold queries, prior_weight), `gain`, `prior_gain`, counts. None without pairs
        to measure, or to choose the weight with.
    """
    lists: dict[str, Lists | None] = {}
    weight: dict[str, float | None] = {}
    for name, score in arms.items():
        lists[name] = ranked(score, pairs)
        if name != "popularity":
            both = f"{name} + prior"
            weight[both] = chosen = choose_weight(score, popularity, validation, headline)
            lists[both] = None if chosen is None else ranked(with_prior(score, popularity, chosen), pairs)
    cold = popularity[pairs.query] < COLD

    def against(arm: Lists | None, control: Lists | None) -> dict[str, Any]:
        if arm is None or control is None:
            return dict.fromkeys(("mean", "low", "high", "largest_user")) | {"users": 0}
        return gain(hits(arm, headline), hits(control, headline), pairs)

    return {
        "queries": len(pairs.query),
        "cold_queries": int(cold.sum()),
        "pairs": len(pairs.target),
        "arms": {name: _told(one, cold, at, weight.get(name)) for name, one in lists.items()},
        "gain": against(lists[tuned], lists[frozen]),
        "prior_gain": against(lists[f"{tuned} + prior"], lists["popularity"]),
    }


def _told(lists: Lists | None, cold: np.ndarray, at: Sequence[int], weight: float | None) -> dict[str, Any]:
    values = np.zeros((0, len(at))) if lists is None else _recalls(lists, at)
    chilly = values[cold] if lists is not None and cold.any() else None
    return {
        "recall": by_k(values, at),
        "cold": None if chilly is None else by_k(chilly, at),
        "prior_weight": weight,
    }


def by_k(values: np.ndarray, at: Sequence[int] = AT) -> dict[str, float | None]:
    """Average recall at each length of the list, from `recalls` [S, K]; None without queries."""
    means = values.mean(axis=0) if len(values) else [None] * len(at)
    return {str(k): None if mean is None else float(mean) for k, mean in zip(at, means, strict=True)}
