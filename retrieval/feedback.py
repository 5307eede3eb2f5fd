"""Offline feedback about a rewrite: relevance, increment and hitrate, the rewards of BEQUE.

Source: Peng et al. 2024 (arXiv 2311.03758), section 4.3. Z_x, Z_y: the results of query x and of its rewrite y;
Rel(Z): the documents z of Z with f(x, z) above the threshold, where f always gets the query, never the rewrite;
E: the items that users engaged with for the query.

    relevance(y) = |Rel(Z_y)| / |Z_y|
    increment(y) = |Rel(Z_x u Z_y) \\ Rel(Z_x)| / max(1, |Rel(Z_x)|)
    hitrate(y)   = |E n (Z_x u Z_y)| / |Rel(E)|

The published increment is ambiguous: this is the added share. The published hitrate counts all engaged items in the
numerator and only the relevant ones in the denominator, so it can exceed 1 where f misses engaged items.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Feedback:
    """The measures of one rewrite, or arrays of them for many."""

    relevance: float | np.ndarray
    """Share of the rewrite's results that are relevant; 0 if it finds nothing."""
    increment: float | np.ndarray
    """Relevant documents that only the rewrite finds, over those that the query finds (over 1 if it finds none)."""
    hitrate: float | np.ndarray
    """Engaged documents found by either, over engaged documents that f calls relevant; NaN if there are none."""


def feedback(
    original: np.ndarray, rewritten: np.ndarray, relevant: Collection[int], engaged: Collection[int]
) -> Feedback:
    """Judge one rewrite.

    Args:
        original: [k] positions Z_x, -1 = none.
        rewritten: [k] positions Z_y, -1 = none.
        relevant: Positions that are relevant to the query; at least all such of Z_x, Z_y and E.
        engaged: Positions E.

    Example:
        >>> feedback(np.array([1, 2]), np.array([2, 3, 4, -1]), relevant={1, 3, 9}, engaged={3, 9})
        Feedback(relevance=0.3333333333333333, increment=1.0, hitrate=0.5)
    """
    both = feedback_of_all(
        np.asarray(original)[None],
        np.asarray(rewritten)[None, None],
        [np.array(sorted(relevant), dtype=np.int64)],
        [np.array(sorted(engaged), dtype=np.int64)],
    )
    found = (np.asarray(value) for value in (both.relevance, both.increment, both.hitrate))
    return Feedback(*(float(value[0, 0]) for value in found))


def feedback_of_all(
    original: np.ndarray,
    rewritten: np.ndarray,
    relevant: Sequence[np.ndarray],
    engaged: Sequence[np.ndarray],
) -> Feedback:
    """Judge n rewrites of each of Q queries.

    Args:
        original: [Q, k] positions.
        rewritten: [Q, n, k'] positions.
        relevant: [Q] arrays of positions, see `feedback`.
        engaged: [Q] arrays of positions.

    Returns:
        Feedback with arrays [Q, n] float64.
    """
    relevant_x, engaged_x = member(original, relevant), member(original, engaged)  # [Q, k]
    known = member(rewritten, list(original))  # [Q, n, k']: in Z_x as well
    relevant_y, engaged_y = member(rewritten, relevant), member(rewritten, engaged)
    relevance = relevant_y.sum(axis=2) / np.maximum((rewritten >= 0).sum(axis=2), 1)
    increment = (relevant_y & ~known).sum(axis=2) / np.maximum(relevant_x.sum(axis=1), 1)[:, None]
    hits = engaged_x.sum(axis=1)[:, None] + (engaged_y & ~known).sum(axis=2)  # [Q, n]
    wanted = np.array([len(np.intersect1d(e, r)) for e, r in zip(engaged, relevant, strict=True)])[:, None]
    hitrate = np.divide(hits, wanted, out=np.full(hits.shape, np.nan), where=wanted > 0)
    return Feedback(relevance, increment, hitrate)


def member(places: np.ndarray, sets: Sequence[np.ndarray]) -> np.ndarray:
    """Return which positions are in the set of their query.

    Args:
        places: [Q, ...] positions, -1 = none, which is in no set.
        sets: [Q] arrays of positions; -1 is ignored.

    Returns:
        Bools of the same shape as `places`.
    """
    flat = np.concatenate([np.asarray(s, dtype=np.int64).ravel() for s in sets]) if sets else np.zeros(0, np.int64)
    owner = np.repeat(np.arange(len(sets)), [np.asarray(s).size for s in sets])
    width = np.int64(max(places.max(initial=0), flat.max(initial=0)) + 1)  # a code for each (query, position)
    codes = (owner * width + flat)[flat >= 0]
    query = np.arange(len(places)).reshape(-1, *[1] * (places.ndim - 1))
    return np.isin(query * width + places, codes) & (places >= 0)
