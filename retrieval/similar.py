"""Find items with similar vectors in a release, with LanceDB."""

import difflib
from dataclasses import dataclass

import numpy as np
import polars as pl

from base.faults import WrongUse
from feature_store.database import Store
from feature_store.pinned import open_pinned
from feature_store.releases import (
    NoRelease,
    Release,
    ReleasedVectors,
    made_vectors,
    released_knowledge,
    released_lineage,
)
from feature_store.vectors import vectors_table
from feature_store.writer import quoted
from retrieval.number import check_number


@dataclass(frozen=True)
class Near:
    """One item near another."""

    item: str
    """Its id."""
    score: float
    """Cosine."""


def find_item(items: pl.DataFrame, named: str) -> str:
    """Find an item by its id, or by its title.

    Args:
        items: item and title.
        named: An id, or a title in any case.

    Raises:
        WrongUse: No item matches, or several do.

    Example:
        >>> find_item(pl.DataFrame({"item": ["7"], "title": ["Heat"]}), "heat")
        '7'
    """
    if named in items["item"]:
        return named
    same = items.filter(pl.col("title").str.to_lowercase() == named.strip().lower())
    if len(same) == 1:
        return same["item"][0]
    if len(same):
        raise WrongUse(f"'{named}': several items have this title\n  name one by its id: {', '.join(same['item'])}")
    titles = {title.lower(): title for title in items["title"].drop_nulls()}
    close = difflib.get_close_matches(named.lower(), titles, n=3, cutoff=0.5)
    fix = "did you mean " + ", ".join(titles[one] for one in close) if close else "name an id or a title of your items"
    raise WrongUse(f"'{named}': no item has this id or title\n  {fix}")


def similar_items(store: Store, release: Release, task: str, encoder: str, item: str, k: int = 10) -> list[Near]:
    """Return the k items nearest to an item, without the item itself.

    Args:
        store: The store.
        release: The release whose vectors are searched.
        task: Technique about items.
        encoder: Encoder of its vectors.
        item: Id of the item.
        k: Maximum number of items.

    Returns:
        The nearest first; ties by id.

    Raises:
        WrongUse: k is below 1.
        NoRelease: The release has no such vectors, or none of this item.
    """
    check_number(k)
    knowledge = released_knowledge(store, release, task, encoder, entity=item)
    if knowledge.entity != "item" or not len(knowledge.vectors):
        raise NoRelease(
            f"{release.name}: {task}/{encoder} holds no vector of item {item}\n  see: knowflow refresh --help"
        )
    return _nearest(store, release, task, encoder, knowledge.vectors[0], k, without=item)


def items_near(store: Store, release: Release, task: str, encoder: str, vector: np.ndarray, k: int = 10) -> list[Near]:
    """Return the k items nearest to a vector, such as that of a query.

    Args:
        store: The store.
        release: The release whose vectors are searched.
        task: Technique about items.
        encoder: Encoder of its vectors, and of this one.
        vector: [d] float32.
        k: Maximum number of items.

    Returns:
        The nearest first; ties by id.

    Raises:
        WrongUse: k is below 1.
        NoRelease: The release has no such vectors.
    """
    check_number(k)
    return _nearest(store, release, task, encoder, vector, k)


def searched_vectors(release: Release, task: str, encoder: str) -> ReleasedVectors:
    """Return a release's facts about the vectors to search.

    Raises:
        NoRelease: The release has no such vectors.
    """
    fix = f"name one of them with --task and --encoder, or make these: knowflow refresh --task {task}"
    return made_vectors(release, task, encoder, fix)


def _nearest(
    store: Store, release: Release, task: str, encoder: str, vector: np.ndarray, k: int, without: str | None = None
) -> list[Near]:
    """Search the vectors of a release for the items with the nearest texts."""
    rows = released_lineage(store, release, [task], ["entity", "text_key"]).drop_nulls()
    rows = rows.filter(pl.col("entity") != without) if without is not None else rows
    made = searched_vectors(release, task, encoder)
    name = vectors_table(encoder, made.dimension)
    if name not in release.versions or k < 1:  # a technique without a text has no table of vectors
        return []
    table = open_pinned(store, name, release.versions[name], ["text_key", "vector"])
    where = f"fingerprint = {quoted(made.fingerprint)}"
    # Several items, and other tasks, can share a text: more rows are read until k items remain.
    # Two more than wanted: the item itself, and one that shows that no other is as near as the k-th.
    limit = k + 2
    while True:
        hits = table.nearest(vector, limit, ["text_key"], where)
        near = hits.join(rows, on="text_key").sort("distance", "entity")
        # The search returns an arbitrary choice of equally near ones: all that tie with the k-th are read.
        if len(hits) < limit or (len(near) >= k and hits["distance"][-1] > near["distance"][k - 1]):
            break
        limit *= 4
    best = near.head(k)
    return [Near(entity, 1 - distance) for entity, distance in best.select("entity", "distance").iter_rows()]
