"""How often chance alone gives a difference as large: versions are swapped within entities, and everything is refitted.

If two versions are worth the same, an entity's two texts could have come from either. Swapping them for a random half
of the entities, and fitting and judging again, gives differences that are as likely as the one that was found. This
knows what an interval over judged items or users does not: that all predictions share the same training texts, and
that users share items.
Few entities are enumerated. Many are drawn until `ENOUGH` draws are at least as large: a difference that chance often
reaches needs no exact p.
Source: Phipson and Smyth 2010, "Permutation P-values Should Never Be Zero"; Besag and Clifford 1991, "Sequential Monte
Carlo p-values".
"""

from collections.abc import Callable, Iterator
from itertools import product

import numpy as np

MOST = 400
"""Swaps at most."""
ENOUGH = 10
"""Differences at least as large, after which no more swaps are drawn."""
ROUNDING = 1e-12

Score = Callable[[np.ndarray], np.ndarray]
"""[n] the vector of the pool that each row uses -> [k] scores, NaN where undefined."""


def chances(score: Score, first: np.ndarray, second: np.ndarray, group: np.ndarray, seed: int) -> np.ndarray:
    """Compute, for each score, how often swapped versions differ at least as much, in either direction.

    Args:
        score: Fits and judges.
        first: [n] int64: what the rows use under one version.
        second: [n] int64: under the other.
        group: [n] int64, 0 to G - 1: the entity of each row; its rows are swapped together.
        seed: Seed of the swaps.

    Returns:
        [k] float64 in (0, 1]; NaN where a score is undefined.
    """
    found = score(first) - score(second)
    groups = int(group.max(initial=-1)) + 1
    if 2**groups <= MOST:
        every = [
            _difference(score, first, second, np.array(swap)[group]) for swap in product((False, True), repeat=groups)
        ]
        p = (np.abs(every) >= np.abs(found) - ROUNDING).mean(axis=0)
    else:
        p = _drawn(score, first, second, group, found, seed)
    return np.where(np.isnan(found), np.nan, p)


def _drawn(
    score: Score, first: np.ndarray, second: np.ndarray, group: np.ndarray, found: np.ndarray, seed: int
) -> np.ndarray:
    reached, p = np.zeros(len(found)), np.full(len(found), np.nan)
    for number, swap in enumerate(_draws(int(group.max()) + 1, seed), start=1):
        open_ = np.isnan(p) & ~np.isnan(found)
        if not open_.any():
            return p
        reached += np.abs(_difference(score, first, second, swap[group])) >= np.abs(found) - ROUNDING
        p = np.where(open_ & (reached >= ENOUGH), reached / number, p)
    return np.where(np.isnan(p), (reached + 1) / (MOST + 1), p)


def _draws(groups: int, seed: int) -> Iterator[np.ndarray]:
    random = np.random.default_rng(seed)
    return (random.random(groups) < 0.5 for _ in range(MOST))


def _difference(score: Score, first: np.ndarray, second: np.ndarray, swap: np.ndarray) -> np.ndarray:
    return score(np.where(swap, second, first)) - score(np.where(swap, first, second))
