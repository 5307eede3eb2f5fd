"""Turn scores of all items into lists: the k best that the user has not had."""

from collections.abc import Callable

import numpy as np

from base.plugins import PluginFault
from recommenders.log import Requests
from recommenders.protocol import Ranked

AT_ONCE = 256
"""Requests scored together; 10,000 items take 20 MB."""
Score = Callable[[Requests], np.ndarray]
"""Takes B requests; returns [B, I] scores of all items."""


def rank_all(score: Score, requests: Requests, k: int) -> Ranked:
    """Score all items for every request and take the best.

    Args:
        score: Scores some requests; -inf for items that must not be recommended.
        requests: The requests.
        k: Length of the lists.
    """
    parts = [
        best(score(part), part, k)
        for part in (requests.part(at, min(at + AT_ONCE, len(requests))) for at in range(0, len(requests), AT_ONCE))
    ]
    none = Ranked(np.zeros((0, k), dtype=np.int64), np.zeros((0, k), dtype=np.float32))
    return Ranked(*(np.concatenate([getattr(one, name) for one in [none, *parts]]) for name in ("items", "scores")))


def best(scores: np.ndarray, requests: Requests, k: int) -> Ranked:
    """Take the k best items that the user has not had; ties go to the first in the catalogue.

    Args:
        scores: [B, I].
        requests: B requests.
        k: Length of the lists; a shorter catalogue leaves -1 at their end.
    """
    scores = np.array(scores, dtype=np.float64)
    scores[requests.row, requests.past.item] = -np.inf
    count, items = scores.shape
    taken = min(k, items)
    # Take the k-th best score, then all that reach it in order: a partition alone breaks ties arbitrarily.
    least = np.partition(scores, items - taken, axis=1)[:, items - taken, None]
    places = np.full((count, k), -1, dtype=np.int64)
    found = np.full((count, k), -np.inf)
    for row, (of, bound) in enumerate(zip(scores, least, strict=True)):
        near = np.flatnonzero((of >= bound) & (of > -np.inf))
        near = near[np.argsort(-of[near], kind="stable")][:taken]
        places[row, : len(near)], found[row, : len(near)] = near, of[near]
    return Ranked(places, found.astype(np.float32))


def check(ranked: Ranked, requests: Requests, k: int, items: int, name: str) -> None:
    """Check that the results of a recommender follow the protocol.

    Args:
        ranked: Its results.
        requests: The requests.
        k: Requested length of the lists.
        items: Items in the catalogue.
        name: Name of the recommender.

    Raises:
        PluginFault: A list has the wrong length, an invalid item, a repeated item, or one that the user had before.
    """
    places = ranked.items
    wrong = ""
    if places.shape != (len(requests), k):
        wrong = f"returned lists of shape {places.shape}, expected {(len(requests), k)}"
    elif places.min(initial=-1) < -1 or places.max(initial=-1) >= items:
        wrong = f"returned indices outside the {items:,} items"
    else:
        had = np.unique(requests.row * items + requests.past.item)
        row, column = np.nonzero(places >= 0)
        named = row * items + places[row, column]
        if len(np.unique(named)) < len(named):
            wrong = "returned an item twice in a list"
        elif np.isin(named, had).any():
            wrong = "returned an item that the user had before"
    if wrong:
        raise PluginFault(f"recommender {name}: {wrong}\n  use best() in recommenders/ranking.py to follow the rules")
