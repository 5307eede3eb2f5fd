"""Ranked lists, and the ranks of the wanted items: the input of every top-k measure.

Items have indices from 0 to N - 1 (called places), ranks count from 0. Among equal scores the item with the lower index
comes first, so that a list never depends on how a sort treats ties.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

MISSED = np.iinfo(np.int64).max
"""Rank of an item that is not in the list."""
AT_ONCE = 512
"""Wanted items processed together, so that all scores of their queries fit into memory."""


@dataclass(frozen=True)
class Lists:
    """One model's lists for Q queries, and the ranks of the T wanted items in them."""

    ranking: np.ndarray
    """[Q, m] int64: item indices, best first, -1 after the end of a shorter list; [Q, 0] if only ranks are known."""
    row: np.ndarray
    """[T] int64: the query of each wanted item; every query wants at least one, and none twice."""
    rank: np.ndarray
    """[T] int64: rank of each wanted item, `MISSED` if it is not in the list."""
    popularity: np.ndarray
    """[N] float64: training events of every item."""

    @property
    def wanted(self) -> np.ndarray:
        """Count the wanted items of each query: [Q] int64."""
        return np.bincount(self.row, minlength=len(self.ranking))

    def by_query(self, values: np.ndarray) -> np.ndarray:
        """Sum the values of the wanted items of each query: [T] -> [Q] float64."""
        return np.bincount(self.row, values, minlength=len(self.ranking))


def ranks_in_lists(ranking: np.ndarray, row: np.ndarray, place: np.ndarray) -> np.ndarray:
    """Find wanted items in lists.

    Args:
        ranking: [Q, m] item indices, best first, none twice in a list, -1 after its end.
        row: [T] the query of each wanted item.
        place: [T] its index.

    Returns:
        [T] int64: its rank in the list of its query, `MISSED` if it is not in the list.

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
    """Count for each wanted item the items with a higher score, or an equal score and a lower index.

    Args:
        scores: [Q, N] scores of all items; -inf for items that must not be recommended.
        row: [T] the query of each wanted item.
        place: [T] its index.

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
