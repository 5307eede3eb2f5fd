"""Vectors of one technique at one version, opened to be searched: by their index where they have one, or exactly."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import ceil

import lance
import numpy as np
import polars as pl
import pyarrow as pa

from feature_store.damage import reading
from feature_store.database import Store
from feature_store.lineage import VectorName
from feature_store.release_record import Release, ReleasedVectors
from feature_store.releases import released_table
from feature_store.vector_index import SHARE_READ, indices_of, partitions_of
from feature_store.writer import quoted

PLACE, DISTANCE = "_rowid", "_distance"
"""Columns of Lance: where a row is in this version of the table, and how far its vector is from the one asked for."""
REFINE = 2
"""How many times as many vectors as are wanted the index names; they are compared again as they are in the table, since
the index holds them at length one in half precision."""


@dataclass(frozen=True)
class PinnedVectors:
    """Vectors from one encoder in a table at one version, unaffected by later writes; `open_vectors` makes it."""

    address: str
    """Address of the table."""
    table: lance.LanceDataset = field(repr=False)
    """The table."""
    where: str | None
    """SQL condition for the vectors of this encoder; None where the table has no others."""
    texts: pl.DataFrame = field(repr=False)
    """text_key and place (UInt64) of each vector."""
    probes: int
    """Partitions of the index to read; 0 without an index."""

    def nearest(self, vector: np.ndarray, limit: int, *, exact: bool = False) -> pl.DataFrame:
        """Return the nearest vectors by cosine.

        Args:
            vector: [d] float32.
            limit: Maximum number of vectors, however large; ties at the limit are broken arbitrarily.
            exact: Compare all vectors; otherwise the index chooses which, and vectors newer than it are compared too.

        Returns:
            place and distance (1 - cosine, Float64), nearest first.
        """
        use_index = self.probes > 0 and not exact
        probes = {"minimum_nprobes": self.probes, "maximum_nprobes": self.probes, "refine_factor": REFINE}
        most = max(1, min(limit, len(self.texts)))  # LanceDB reserves memory for as many as are asked for
        asked = {"column": "vector", "q": vector, "k": most, "metric": "cosine", "use_index": use_index}
        asked |= probes if use_index else {}
        with reading(self.address):
            scan = self.table.scanner([DISTANCE], self.where, nearest=asked, prefilter=True, with_row_id=True)
            found = pl.DataFrame(pl.from_arrow(scan.to_table()))
        return found.select(place=PLACE, distance=pl.col(DISTANCE).cast(pl.Float64)).sort("distance", "place")

    def read(self, places: Sequence[int]) -> np.ndarray:
        """Return the vectors at some places: [n, d] float32, in the order of the places."""
        rows = ", ".join(map(str, places))
        with reading(self.address):
            found = self.table.to_table(["vector"], f"{PLACE} IN ({rows})", with_row_id=True)
        order = {place: number for number, place in enumerate(found[PLACE].to_pylist())}
        values = np.array(found["vector"].combine_chunks().to_pylist(), dtype=np.float32)
        return values[[order[place] for place in places]]


def open_vectors(store: Store, release: Release, name: VectorName, made: ReleasedVectors) -> PinnedVectors | None:
    """Open the vectors of a technique as a release holds them.

    Args:
        store: The store.
        release: The release.
        name: The technique and the encoder.
        made: What the release records of the vectors.

    Returns:
        The vectors; None if the release has no table of them, because the technique has no text.

    Raises:
        WrongUse: The table was written by another version of KnowFlow.
        StoreFault: It is damaged.
    """
    table = released_table(release, name, made.dimension)
    if table not in release.versions:
        return None
    dataset = store.open(table, release.versions[table])
    store.check_columns(table, ["text_key", "vector"], dataset.schema.names)
    where = f"fingerprint = {quoted(made.fingerprint)}"
    with reading(store.uri(table)):
        texts: pa.Table = dataset.to_table(["text_key"], where, with_row_id=True)
        alone = len(texts) == dataset.count_rows()
        partitions = max(map(partitions_of, indices_of(dataset)), default=0)
    frame = pl.DataFrame(pl.from_arrow(texts)).select("text_key", place=PLACE)
    return PinnedVectors(store.uri(table), dataset, None if alone else where, frame, ceil(partitions * SHARE_READ))
