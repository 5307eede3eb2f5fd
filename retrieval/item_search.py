"""Search the items of a release by words and by vectors, and fuse the two rankings by rank."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from feature_store.database import Store
from feature_store.lineage import VectorName
from feature_store.releases import NoRelease, Release
from retrieval.number import check_number
from retrieval.search import TABLE as DOCUMENTS
from retrieval.search import fuse, open_search
from retrieval.similar import items_near

DEPTH = 50
"""Items of each ranking to fuse."""


@dataclass(frozen=True)
class FoundItem:
    """One result of a search."""

    item: str
    """Its id."""
    by_words: int | None
    """Rank among the documents that share words with the query, from 1; None if it is not among the best."""
    by_vectors: int | None
    """Rank among the vectors nearest to the query's, from 1; None if it is not among the best."""


@dataclass(frozen=True)
class FoundItems:
    """The results of a search."""

    items: tuple[FoundItem, ...]
    """The best first."""
    vectors: str | None
    """`task/encoder` whose vectors were searched; None if none were."""
    words: bool
    """Whether documents were searched by words."""
    lacking: str | None
    """Why only one of the two was searched; None if both were."""


def search_words_and_vectors(
    store: Store,
    release: Release,
    query: str,
    task: str,
    encoder: str,
    encode: Callable[[str], np.ndarray],
    k: int = 10,
    *,
    vectors_needed: bool = False,
) -> FoundItems:
    """Search the items of a release by words and by vectors.

    Each returns its 50 best (or k, if that is more), and their ranks are fused (`retrieval.search.fuse`); a document
    that contains the query's words and is close in meaning comes first.

    Args:
        store: The store.
        release: The release.
        query: Any text.
        task: Technique about items whose vectors are searched.
        encoder: Encoder of its vectors.
        encode: Encodes the query like these vectors: text -> [d]; called only if vectors are searched.
        k: Maximum number of results.
        vectors_needed: Raise an error if the release has no such vectors, instead of searching by words only.

    Raises:
        WrongUse: k is below 1.
        NoRelease: The release has neither documents nor these vectors, or no vectors although they are needed.
    """
    check_number(k)
    depth = max(k, DEPTH)
    has_words, has_vectors = DOCUMENTS in release.versions, VectorName(task, encoder) in release.vectors
    if not has_words and not has_vectors:
        raise NoRelease(
            f"{release.name}: holds neither documents nor vectors of {task} under {encoder}\n"
            "  make them: knowflow refresh"
        )
    by_words = [hit.item for hit in open_search(store, release).search(query, depth)] if has_words else []
    by_vectors: list[str] = []
    if has_vectors or vectors_needed:
        vector = encode(query)
        by_vectors = [near.item for near in items_near(store, release, task, encoder, vector, depth)]
    lacking = None
    if not has_words:
        lacking = f"{release.name} holds no documents: knowflow refresh makes them"
    elif not has_vectors:
        lacking = f"{release.name} holds no vectors of {task} under {encoder}; others: --task and --encoder"
    return FoundItems(_fused(by_words, by_vectors, k), f"{task}/{encoder}" if has_vectors else None, has_words, lacking)


def _fused(by_words: list[str], by_vectors: list[str], k: int) -> tuple[FoundItem, ...]:
    """Fuse two rankings of items; break ties by the rank by words, then by id."""
    ids = sorted({*by_words, *by_vectors})
    place = {item: number for number, item in enumerate(ids)}
    ranks = [{item: rank for rank, item in enumerate(ranking, start=1)} for ranking in (by_words, by_vectors)]
    rankings = np.full((1, 2, max(len(by_words), len(by_vectors))), -1)
    for row, ranking in enumerate((by_words, by_vectors)):
        rankings[0, row, : len(ranking)] = [place[item] for item in ranking]
    best = [ids[number] for number in fuse(rankings, k)[0] if number >= 0]
    return tuple(FoundItem(item, ranks[0].get(item), ranks[1].get(item)) for item in best)
