"""Vectors of items known before a moment: what a fitted recommender may read from a release."""

from collections.abc import Sequence

import numpy as np

from ctr.samples import codes_of
from feature_store.vectors import Knowledge, as_of_rows


def vectors_at(knowledge: Knowledge, items: Sequence[str], time: np.datetime64) -> np.ndarray:
    """Return each item's newest vector known strictly before a moment.

    Args:
        knowledge: Vectors of items from a release.
        items: [I] ids.
        time: The moment, UTC.

    Returns:
        [I, d] float32, zeros where nothing was known yet.
    """
    places = codes_of(knowledge.entities, np.array(items, dtype=str))
    moments = np.full(len(items), time, dtype="datetime64[us]")
    rows = as_of_rows(np.arange(len(items)), moments, places, knowledge.as_of)
    out = np.zeros((len(items), knowledge.vectors.shape[1]), dtype=np.float32)
    out[rows >= 0] = knowledge.vectors[rows[rows >= 0]]
    return out
