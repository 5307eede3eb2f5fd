"""Ids as codes: built once, then looked up for any number of rows."""

import numpy as np
import polars as pl

SEEDS = range(16)
"""Seeds to try until no two of the known ids have the same hash; the first one does, but for 1 in 10^7 tables."""
SPARE_BITS = 2
"""Buckets per id, as a power of two: four buckets an id, so that most hold one at most."""


class Ids:
    """Codes of known ids: 0, 1 and so on, in the order given.

    Looking up a million ids in a join or a set builds its hash table again for every chunk of rows. Here the hashes are
    sorted once, and a hash's first bits say where to look; the id found is compared whole.

    Args:
        ids: [M] String, distinct, without nulls.

    Example:
        >>> Ids(pl.Series(["a", "b"])).codes(pl.Series(["b", "c", None, "a"])).tolist()
        [1, -1, -1, 0]
    """

    def __init__(self, ids: pl.Series) -> None:
        self.ids = ids.cast(pl.String).rechunk()
        self._seed = next(seed for seed in SEEDS if self.ids.hash(seed).n_unique() == len(self.ids))
        hashes = self.ids.hash(self._seed).to_numpy()
        self._order = np.argsort(hashes)
        self._hashes = hashes[self._order]
        bits = max(len(self.ids).bit_length() + SPARE_BITS, 1)
        self._shift = np.uint64(64 - bits)
        size = np.bincount((self._hashes >> self._shift).astype(np.int64), minlength=1 << bits)
        self._start = np.concatenate([[0], np.cumsum(size)])
        self._longest = int(size.max(initial=0))

    def __len__(self) -> int:
        """Return the number of known ids, M."""
        return len(self.ids)

    def codes(self, values: pl.Series) -> np.ndarray:
        """Return the code of each value, -1 if it is not known: [N] int64."""
        if not len(self.ids):
            return np.full(len(values), -1, dtype=np.int64)
        asked = values.hash(self._seed).to_numpy()
        bucket = (asked >> self._shift).astype(np.int64)
        place, end = self._start[bucket], self._start[bucket + 1]
        found = np.full(len(values), -1, dtype=np.int64)
        for _ in range(self._longest):
            here = np.minimum(place, len(self._hashes) - 1)
            hit = (place < end) & (self._hashes[here] == asked)
            found[hit] = self._order[here[hit]]
            place = place + 1
        same = (self.ids.gather(np.maximum(found, 0)) == values).fill_null(value=False).to_numpy()
        return np.where(same, found, -1)
