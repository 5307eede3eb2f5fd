"""The arms of the rewrite evaluation: ways to search for a query, all judged by their results."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from retrieval.pseudo_feedback import rm3
from retrieval.search import BulkSearch, fuse
from retrieval.spelling import Spelling

BUDGET, SHORT = 50, 10
"""Results of an arm, and of its first page."""
ORIGINAL, RECORDED, SERVED = "original", "recorded", "served"
"""The control, the release's rewrites as answered, and its rewrites as ranked in the served table."""
Rank = Callable[[Sequence[str], int], np.ndarray]
"""Queries [Q] and k -> [Q, k] positions."""


@dataclass(frozen=True)
class Arm:
    """The results of one way to search."""

    about: str
    """Description, in one sentence."""
    first: np.ndarray
    """[Q, m] positions that count for hit@10; -1 = none; no repeats within a query."""
    found: np.ndarray
    """[Q, m] positions that count for everything else."""


def search_arms(
    search: BulkSearch,
    texts: Sequence[str],
    queries: Sequence[str],
    rewrites: Mapping[str, Sequence[Sequence[str]]],
    dense: Rank | None = None,
) -> dict[str, Arm]:
    """Search in every available way.

    Args:
        search: The search over N documents.
        texts: [N] documents.
        queries: [Q] queries as typed.
        rewrites: Name of a source -> its rewrites of every query, best first; empty where it has none.
        dense: Ranks by vectors; if None, there are no dense arms.

    Returns:
        Name -> arm; `original` first, three arms per source: NAME (fused), NAME_first and NAME_union.
    """
    original = search.search(queries, BUDGET)
    spelling = Spelling(texts)
    arms = {
        ORIGINAL: _arm("the query as it was typed", original),
        "spelling": _arm(
            "words that no document holds replaced by the nearest that some do; no model",
            search.search([spelling.correct(query) for query in queries], BUDGET),
        ),
        "rm3": _arm("words of the first ten results added (RM3); no model", rm3(search, queries, BUDGET)),
    }
    if dense is not None:
        near = dense(queries, BUDGET)
        arms["dense"] = _arm("nearest by vectors of a sentence encoder", near)
        both = np.stack([original, near], axis=1)
        arms["original_dense"] = _arm("original and dense, fused by rank", fuse(both, BUDGET))
    for name, lists in rewrites.items():
        arms |= _rewritten(search, name, original, lists)
    return arms


def _rewritten(
    search: BulkSearch, name: str, original: np.ndarray, rewrites: Sequence[Sequence[str]]
) -> dict[str, Arm]:
    """Use rewrites in three ways; a query without rewrites is searched as it is."""
    found = search_rewrites(search, rewrites, BUDGET)  # [Q, n, k]
    every = np.concatenate([original[:, None], found], axis=1)  # [Q, 1 + n, k]
    none = np.array([not one for one in rewrites])
    first = np.where(none[:, None], original, found[:, 0])
    several = f"{found.shape[1]} rewrite" + ("" if found.shape[1] == 1 else "s")
    return {
        name: _arm(f"original and {several}, fused by rank to {BUDGET} results", fuse(every, BUDGET)),
        f"{name}_first": _arm("the first rewrite alone", first),
        f"{name}_union": Arm(
            f"all results of original and {several}, up to {every.shape[1] * BUDGET}: an upper bound, no equal budget",
            distinct(every[:, :, :SHORT].reshape(len(every), -1)),
            distinct(every.reshape(len(every), -1)),
        ),
    }


def search_rewrites(search: BulkSearch, rewrites: Sequence[Sequence[str]], k: int) -> np.ndarray:
    """Search for all rewrites of all queries: [Q] lists -> [Q, n, k] positions, n = longest list (at least 1)."""
    number = max([1, *map(len, rewrites)])
    padded = [text for row in rewrites for text in [*row, *[""] * (number - len(row))]]
    return search.search(padded, k).reshape(len(rewrites), number, k)


def _arm(about: str, ranking: np.ndarray) -> Arm:
    return Arm(about, ranking[:, :SHORT], ranking)


def distinct(places: np.ndarray) -> np.ndarray:
    """Keep every position once per query: [Q, m] -> [Q, m], sorted, with repeats set to -1."""
    ordered = np.sort(places, axis=1)
    repeats = np.diff(ordered, axis=1, prepend=-2) == 0
    return np.where(repeats, -1, ordered)
