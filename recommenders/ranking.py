"""From scores of all items to lists: the k best that the user has not had."""

from collections.abc import Callable

import numpy as np

from base.plugins import PluginFault
from recommenders.log import Requests
from recommenders.protocol import Ranked

AT_ONCE = 256
"""Requests that are scored together; 10,000 items take 20 MB."""
Score = Callable[[Requests], np.ndarray]
"""Takes B requests; gives [B, I] scores of all items."""


def rank_all(score: Score, requests: Requests, k: int) -> Ranked:
    """Score all items for every request and take the best.

    Args:
        score: Scores some requests; -inf for what may not be named.
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
    """Take the k best items that the user has not had; of equal ones the first in the catalogue.

    Args:
        scores: [B, I].
        requests: B requests.
        k: Length of the lists; a shorter catalogue leaves -1 at their end.
    """
    scores = np.array(scores, dtype=np.float64)
    scores[requests.row, requests.past.item] = -np.inf
    count, items = scores.shape
    taken = min(k, items)
    # The k-th best score, then all that reach it in order: a partition alone leaves ties to chance.
    least = np.partition(scores, items - taken, axis=1)[:, items - taken, None]
    places = np.full((count, k), -1, dtype=np.int64)
    found = np.full((count, k), -np.inf)
    for row, (of, bound) in enumerate(zip(scores, least, strict=True)):
        near = np.flatnonzero((of >= bound) & (of > -np.inf))
        near = near[np.argsort(-of[near], kind="stable")][:taken]
        places[row, : len(near)], found[row, : len(near)] = near, of[near]
    return Ranked(places, found.astype(np.float32))


def check(ranked: Ranked, requests: Requests, k: int, items: int, name: str) -> None:
    """See that a recommender keeps to the protocol, whoever wrote it.

    Args:
        ranked: What it named.
        requests: The requests.
        k: Length of the lists that were asked for.
        items: Items in the catalogue.
        name: Name of the recommender.

    Raises:
        PluginFault: A list has another length, names what is no item, one twice, or one that the user had before.
    """
    places = ranked.items
    wrong = ""
    if places.shape != (len(requests), k):
        wrong = f"gave lists of shape {places.shape}, asked for {(len(requests), k)}"
    elif places.min(initial=-1) < -1 or places.max(initial=-1) >= items:
        wrong = f"names places outside of the {items:,} items"
    else:
        had = np.unique(requests.row * items + requests.past.item)
        row, column = np.nonzero(places >= 0)
        named = row * items + places[row, column]
        if len(np.unique(named)) < len(named):
            wrong = "names an item twice in a list"
        elif np.isin(named, had).any():
            wrong = "names an item that the user had before"
    if wrong:
        raise PluginFault(f"recommender {name}: {wrong}\n  recommenders/ranking.py: best() keeps to the rules")
