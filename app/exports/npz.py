"""NumPy: an archive per vectors, `kar_item_dense.npz`, with the arrays id [M], as_of [M] and vector [M, d].

Reads:     numpy.load, without pickle.
Time:      every row of the release with its as_of (datetime64[us], UTC).
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from app.exports.protocol import Exported, ExportFormat


def write(exported: Exported, out: Path) -> Sequence[str]:
    """Write the archives."""
    for source, column, vectors in exported.vectors():
        as_of = source.known.astype("datetime64[us]")
        np.savez(out / f"{column.name}.npz", id=source.entities.astype(str), as_of=as_of, vector=vectors)
    return ["join strictly: a row at time t may see as_of < t, not as_of = t"]


NPZ = ExportFormat("npz", "arrays per vectors: id, as_of, vector", write, vectors_only=True)
