"""The histories of samples: rows of the same user's strictly earlier events, kept in one array or found when asked for.

All events of a log lie once in an order by user and time; a sample's history is the end of a range of it. So a log of
10 million events needs 240 MB for its histories instead of the 1.2 GB of [N, 30] rows.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ctr.earlier import Earlier, strictly_earlier

MOST_CELLS = 2**25
"""Rows times events up to which all histories are kept as one array, of 128 MiB."""


@dataclass(frozen=True)
class Histories:
    """[N, H] int32, found row by row: it can be indexed by rows, and by a second index after them."""

    earlier: Earlier
    """The strictly earlier events of each sample's user."""
    length: int
    """Events in a history, H."""

    dtype = np.dtype(np.int32)
    ndim = 2

    @property
    def shape(self) -> tuple[int, int]:
        """Number of samples, and of events in a history."""
        return len(self.earlier.end), self.length

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.earlier.end)

    def __getitem__(self, key: Any) -> np.ndarray:
        """Find the histories of some samples; of these some columns, or one column of each."""
        if isinstance(key, tuple):
            found, column = self[key[0]], key[1]
            return found[:, column] if isinstance(column, slice) else found[np.arange(len(found)), column]
        begin, end = self.earlier.begin[key], self.earlier.end[key]
        place = end[..., None] - np.arange(self.length, 0, -1)
        order = self.earlier.order if len(self.earlier.order) else np.zeros(1, dtype=np.int64)
        return np.where(place >= begin[..., None], order[np.maximum(place, 0)], -1).astype(np.int32)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """Find all histories, for what needs them as one array."""
        found = self[:]
        return found if dtype is None else found.astype(dtype)

    def __ge__(self, other: Any) -> np.ndarray:
        """Compare all rows."""
        return np.asarray(self) >= other


def histories_of(
    user: np.ndarray, time: np.ndarray, happened: np.ndarray | None, length: int
) -> np.ndarray | Histories:
    """Find the newest strictly earlier events of each sample's user.

    An event with the same timestamp is not history: in many logs a session has one timestamp, to the second.

    Args:
        user: [N] int64 codes.
        time: [N] datetime64[us].
        happened: [N] bool: the events; None = all.
        length: Events in a history, H.

    Returns:
        [N, H] int32 rows, the newest in the last column, -1 where there are fewer; an array if it is small.
    """
    made = Histories(strictly_earlier(user, time, happened), length)
    return made[:] if len(made) * length <= MOST_CELLS else made
