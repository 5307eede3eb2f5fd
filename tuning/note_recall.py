"""How well vectors find what people go on to: recall of held-out pairs."""

from collections.abc import Mapping, Sequence

import numpy as np


def recall(vectors: np.ndarray, pairs: np.ndarray, at: Sequence[int] = (10, 100)) -> Mapping[str, float]:
    """Mean over sources of the share of their targets among the nearest other notes.

    Args:
        vectors: [N, d] of length one.
        pairs: [P, 2] int64, sources and targets; each pair once.
        at: How many notes are looked at; those equally near stand in the order of their numbers.

    Returns:
        `recall@10` and so on; empty without a pair.

    Example:
        >>> line = np.array([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0]])
        >>> recall(line, np.array([[0, 1], [2, 0]]), at=(1, 2))
        {'recall@1': 0.5, 'recall@2': 1.0}
    """
    if not len(pairs):
        return {}
    sources, of = np.unique(pairs[:, 0], return_inverse=True)
    near = vectors[sources] @ vectors.T  # [S, N]
    near[np.arange(len(sources)), sources] = -np.inf  # a note is no neighbour of itself
    order = np.argsort(-near, axis=1, kind="stable")
    ranks = np.empty_like(order)
    np.put_along_axis(ranks, order, np.arange(order.shape[1])[None], axis=1)
    found = ranks[of, pairs[:, 1]]  # [P]
    wanted = np.bincount(of)
    return {f"recall@{k}": round(float((np.bincount(of, found < k) / wanted).mean()), 4) for k in at}
