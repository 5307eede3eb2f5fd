"""Ranked lists, and the ranks of the items that their readers wanted: what every top-k measure is computed from.

Places of items are numbers from 0 to N - 1, ranks count from 0. Of equal scores the item with the lower place comes
first, so that a list never depends on how a sort treats ties.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

MISSED = np.iinfo(np.int64).max
"""Rank of an item that a list does not name."""
AT_ONCE = 512
"""Wanted items whose ranks are counted together, so that all scores of their queries fit into memory."""


@dataclass(frozen=True)
class Lists:
    """What one model names for Q queries, and where its lists hold the T wanted items."""

    ranking: np.ndarray
    """[Q, m] int64: places of items, the best first, -1 behind the end of a shorter list; [Q, 0] where ranks are known
    alone."""
    row: np.ndarray
    """[T] int64: the query of each wanted item; every query wants one at least, none twice."""
    rank: np.ndarray
    """[T] int64: rank of each wanted item, `MISSED` where it is not named."""
    popularity: np.ndarray
    """[N] float64: training events of every item."""

    @property
    def wanted(self) -> np.ndarray:
        """How many items each query wants: [Q] int64."""
        return np.bincount(self.row, minlength=len(self.ranking))

    def by_query(self, values: np.ndarray) -> np.ndarray:
        """Sum what the wanted items of each query are worth: [T] -> [Q] float64."""
        return np.bincount(self.row, values, minlength=len(self.ranking))


def ranks_in_lists(ranking: np.ndarray, row: np.ndarray, place: np.ndarray) -> np.ndarray:
    """Find wanted items in lists.

    Args:
        ranking: [Q, m] places, the best first, no place twice in a list, -1 behind its end.
        row: [T] the query of each wanted item.
        place: [T] its place.

    Returns:
        [T] int64: its rank in the list of its query, `MISSED` where the list does not name it.

    Example:
        >>> ranks_in_lists(np.array([[7, 3, -1]]), np.array([0, 0]), np.array([3, 4])).tolist() == [1, MISSED]
        True
    """
    out = np.full(len(row), MISSED, dtype=np.int64)
    for part in _parts(len(row)):
        found, rank = np.nonzero(ranking[row[part]] == place[part][:, None])  # of [t, m]
        out[part.start + found] = rank
    return out


def ranks_by_score(scores: np.ndarray, row: np.ndarray, place: np.ndarray) -> np.ndarray:
    """Count for each wanted item the items that are scored higher, or as high and stand before it.

    Args:
        scores: [Q, N] scores of all items; -inf for those that may not be named.
        row: [T] the query of each wanted item.
        place: [T] its place.

    Returns:
        [T] int64.
    """
    out = np.zeros(len(row), dtype=np.int64)
    before = np.arange(scores.shape[1])[None]
    for part in _parts(len(row)):
        of, target = scores[row[part]], place[part][:, None]  # [t, N], [t, 1]
        own = np.take_along_axis(of, target, axis=1)
        out[part] = ((of > own) | ((of == own) & (before < target))).sum(axis=1)
    return out


def _parts(count: int) -> Iterator[slice]:
    return (slice(start, start + AT_ONCE) for start in range(0, count, AT_ONCE))
