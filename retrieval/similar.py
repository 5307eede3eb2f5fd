"""Find items with similar vectors in a release, with LanceDB."""

import difflib
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from base.faults import WrongUse
from feature_store.database import Store
from feature_store.lineage import VectorName
from feature_store.near import PinnedVectors, open_vectors
from feature_store.releases import NoRelease, Release, ReleasedVectors, made_vectors, released_lineage
from retrieval.number import check_number

KNOWN = ["entity", "entity_type", "as_of", "text_key"]


BY_INDEX = 20
"""Most items that are looked for by an index: of more of them, more lie in partitions that it does not read."""


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


@dataclass(frozen=True)
class ItemVectors:
    """The items of a release by their vectors, opened once to be asked often; `open_items` makes it."""

    held: str
    """Whose vectors they are, for messages."""
    vectors: PinnedVectors | None
    """The vectors; None if the technique has no text."""
    items: pl.DataFrame = field(repr=False)
    """entity, as_of and place of each text of an item."""

    def near_item(self, item: str, k: int = 10, *, exact: bool = False) -> list[Near]:
        """Return the k items nearest to an item, without the item itself.

        Of an item with several texts, the mean of the vectors of its newest ones is asked for.

        Args:
            item: Id of the item.
            k: Maximum number of items.
            exact: Compare all vectors, whether they have an index or not; done for more than `BY_INDEX` items, too.

        Returns:
            The nearest first; ties by id.

        Raises:
            WrongUse: k is below 1.
            NoRelease: The item has no vector.
        """
        check_number(k)
        own = self.items.filter(pl.col("entity") == item)
        if self.vectors is None or own.is_empty():
            raise NoRelease(f"{self.held} holds no vector of item {item}\n  see: knowflow refresh --help")
        newest = own.filter(pl.col("as_of") == pl.col("as_of").max())["place"]
        asked = self.vectors.read(newest.to_list()).mean(axis=0, dtype=np.float64).astype(np.float32)
        return self._nearest(self.vectors, asked, k, exact, without=item)

    def near(self, vector: np.ndarray, k: int = 10, *, exact: bool = False) -> list[Near]:
        """Return the k items nearest to a vector, such as that of a query.

        Args:
            vector: [d] float32, from the encoder of these vectors.
            k: Maximum number of items.
            exact: Compare all vectors, whether they have an index or not; done for more than `BY_INDEX` items, too.

        Returns:
            The nearest first; ties by id.

        Raises:
            WrongUse: k is below 1.
        """
        check_number(k)
        return [] if self.vectors is None else self._nearest(self.vectors, vector, k, exact)

    def _nearest(
        self, vectors: PinnedVectors, vector: np.ndarray, k: int, exact: bool, without: str | None = None
    ) -> list[Near]:
        # Several items can share a text: more vectors are read until k items remain.
        # Two more than wanted: the item itself, and one that shows that no other is as near as the k-th.
        exact = exact or k > BY_INDEX
        limit, items = k + 2, self.items if without is None else self.items.filter(pl.col("entity") != without)
        while True:
            hits = vectors.nearest(vector, limit, exact=exact)
            known = items.filter(pl.col("place").is_in(hits["place"].implode()))
            near = hits.join(known, on="place").sort("distance", "entity").unique("entity", maintain_order=True)
            # The search returns an arbitrary choice of equally near ones: all that tie with the k-th are read.
            if len(hits) < limit or (len(near) >= k and hits["distance"][-1] > near["distance"][k - 1]):
                break
            limit *= 4
        if len(near) < k and vectors.probes and not exact:  # the partitions that were read hold too few
            return self._nearest(vectors, vector, k, exact=True, without=without)
        return [Near(entity, 1 - distance) for entity, distance in near.head(k).select("entity", "distance").rows()]


def open_items(store: Store, release: Release, task: str, encoder: str) -> ItemVectors:
    """Open the vectors of items in a release.

    Args:
        store: The store.
        release: The release whose vectors are searched.
        task: Technique about items.
        encoder: Encoder of its vectors.

    Raises:
        NoRelease: The release has no such vectors.
    """
    made, held = searched_vectors(release, task, encoder), f"{release.name}: {task}/{encoder}"
    vectors = open_vectors(store, release, VectorName(task, encoder), made)
    rows = released_lineage(store, release, [task], KNOWN).drop_nulls("text_key")
    rows = rows.filter(pl.col("entity_type") == "item").select("entity", "as_of", "text_key")
    texts = pl.DataFrame(schema={"text_key": pl.String, "place": pl.UInt64}) if vectors is None else vectors.texts
    return ItemVectors(held, vectors, rows.join(texts, on="text_key").drop("text_key"))


def similar_items(
    store: Store, release: Release, task: str, encoder: str, item: str, k: int = 10, *, exact: bool = False
) -> list[Near]:
    """Return the k items nearest to an item, without the item itself; for one question: see `ItemVectors.near_item`.

    Example:
        similar_items(store, get_release(store), "item_facts", "dense", "318", k=3)
    """
    check_number(k)
    return open_items(store, release, task, encoder).near_item(item, k, exact=exact)


def items_near(
    store: Store, release: Release, task: str, encoder: str, vector: np.ndarray, k: int = 10, *, exact: bool = False
) -> list[Near]:
    """Return the k items nearest to a vector, such as that of a query; for one question: see `ItemVectors.near`."""
    check_number(k)
    return open_items(store, release, task, encoder).near(vector, k, exact=exact)


def searched_vectors(release: Release, task: str, encoder: str) -> ReleasedVectors:
    """Return a release's facts about the vectors to search.

    Raises:
        NoRelease: The release has no such vectors.
    """
    fix = f"name one of them with --task and --encoder, or make these: knowflow refresh --task {task}"
    return made_vectors(release, task, encoder, fix)
