"""As-of reads of rows that come in chunks: what is known is sorted once, then each chunk only looks up."""

import numpy as np

LIVE = np.iinfo(np.int64).max
"""The moment of a row without a time: after everything that is known."""


class Timeline:
    """Rows of knowledge by entity and by the moment after which they are known.

    It finds the same rows as `feature_store.vectors.as_of_rows`, which sorts the samples too.

    Args:
        entity: [M] int64, code of the entity that each row is about, -1 = none that is asked for.
        known: [M] int64, microseconds since 1970: the newest event that each row may have seen.
        entities: Number of entities.

    Example:
        >>> line = Timeline(np.array([0, 0]), np.array([5, 9]), 1)
        >>> line.rows(np.array([0, 0, 0, -1]), np.array([5, 6, LIVE, LIVE])).tolist()
        [-1, 0, 1, -1]
    """

    def __init__(self, entity: np.ndarray, known: np.ndarray, entities: int) -> None:
        order = np.lexsort((known, entity))  # stable: of rows known from the same moment, the last one counts
        self._order = order[entity[order] >= 0]
        self._known = known[self._order]
        self.known = known
        """[M] int64: as given."""
        size = np.bincount(entity[self._order], minlength=entities)
        self._begin = np.concatenate([[0], np.cumsum(size)]).astype(np.int64)
        self._steps = int(size.max(initial=0)).bit_length()

    def rows(self, entity: np.ndarray, time: np.ndarray) -> np.ndarray:
        """Return the newest row of each entity that was known strictly before a moment.

        Args:
            entity: [N] int64 codes, -1 = unknown.
            time: [N] int64, microseconds since 1970.

        Returns:
            [N] int64: index into the rows, -1 where none was known.
        """
        if not len(self._order):
            return np.full(len(entity), -1, dtype=np.int64)
        there, code = entity >= 0, np.maximum(entity, 0)
        first = self._begin[code]
        low, high = first, np.where(there, self._begin[code + 1], first)
        for _ in range(self._steps):  # a binary search in every entity's own rows, all rows at once
            middle = (low + high) // 2
            open_, earlier = low < high, self._known[np.minimum(middle, len(self._known) - 1)] < time
            low = np.where(open_ & earlier, middle + 1, low)
            high = np.where(open_ & ~earlier, middle, high)
        return np.where(low > first, self._order[np.maximum(low - 1, 0)], -1)
