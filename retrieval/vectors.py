"""Compare vectors: normalise and rank them."""

from collections.abc import Sequence

import numpy as np

QUERIES_AT_ONCE = 256
"""Queries whose scores are in memory at once."""


def unit_length(vectors: np.ndarray) -> np.ndarray:
    """Normalise vectors to length 1; zeros stay zeros: [n, d] -> [n, d] float32.

    Example:
        >>> unit_length(np.array([[3.0, 4.0], [0.0, 0.0]])).tolist()
        [[0.6000000238418579, 0.800000011920929], [0.0, 0.0]]
    """
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.where(lengths > 0, lengths, 1)).astype(np.float32)


def dense_ranking(asked: np.ndarray, documents: Sequence[np.ndarray], k: int) -> np.ndarray:
    """Rank documents by vectors; of several texts of a document the nearest one counts.

    Args:
        asked: [Q, d] vectors of queries, each of length one.
        documents: Arrays [N, d], one per kind of text, each row of length one.
        k: Results per query.

    Returns:
        [Q, k] int32 positions, best first; of equal scores the lower position first; -1 = no more documents.
    """
    count = len(documents[0])
    out = np.full((len(asked), k), -1, dtype=np.int32)
    for start in range(0, len(asked), QUERIES_AT_ONCE):
        part = asked[start : start + QUERIES_AT_ONCE]
        scores = np.maximum.reduce([part @ vectors.T for vectors in documents])  # [q, N]
        order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        out[start : start + len(part), : min(k, count)] = order
    return out
