"""Draw a sample of a technique's rows, so that a prompt is tried on all kinds of users and items and costs little.

Rows are put into strata by how active the user is and how well known the item; each stratum gives its share, at least
one row. Which rows is decided by a hash of seed and row key: the order of the rows and the version of the prompt do not
matter, and a larger sample of the same seed contains a smaller one. Shares are those of Sainte-Laguë's method, which
hands out one place after the other: the k-th row of a stratum of n rows is taken at (k - 1/2) / n.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from sources.tables import Dataset, event_of

COLD, NEARLY_COLD = "cold item", "nearly cold item"
"""Without any training event, and with 1 to `FEW` of them."""
FEW = 4
OF_USERS = ("user with few events", "user with some events", "user with many events")
OF_QUERIES = ("rare query", "usual query", "frequent query")
OF_ITEMS = ("item of the tail", "item of the middle", "item of the head")
"""Thirds by number of training events; of items, only those that are not cold."""
ALL = "all"
"""The only stratum of entities that are not in the data, such as clusters."""


def strata_of(kind: str, entities: Sequence[str], dataset: Dataset) -> list[str]:
    """Return the stratum of each entity, in words.

    Args:
        kind: What the entities are: user, item, query, event, or a kind that answers create.
        entities: Their ids; one may repeat.
        dataset: The user's data. Training events alone are counted.
    """
    trained = dataset.events.filter(pl.col("part") == "train")
    if kind == "event":
        pairs = [event_of(entity) for entity in entities]
        users = _thirds([user for user, _ in pairs], _counts(trained["user"]), OF_USERS)
        items = _of_items([item for _, item in pairs], _counts(trained["item"]))
        return [f"{user}, {item}" for user, item in zip(users, items, strict=True)]
    if kind == "user":
        return _thirds(entities, _counts(trained["user"]), OF_USERS)
    if kind == "item":
        return _of_items(entities, _counts(trained["item"]))
    if kind == "query" and dataset.queries is not None:
        return _thirds(entities, _counts(dataset.queries["query"]), OF_QUERIES)
    return [ALL] * len(entities)


def _counts(ids: pl.Series) -> Mapping[str, int]:
    return Counter(ids.drop_nulls().to_list())


def _of_items(entities: Sequence[str], counts: Mapping[str, int]) -> list[str]:
    known = [one for one in entities if counts.get(one, 0) > FEW]
    thirds = dict(zip(known, _thirds(known, counts, OF_ITEMS), strict=True))
    return [thirds.get(one) or (NEARLY_COLD if counts.get(one, 0) else COLD) for one in entities]


def _thirds(entities: Sequence[str], counts: Mapping[str, int], names: tuple[str, str, str]) -> list[str]:
    """Name the third of each entity; entities with equally many events are in the same one."""
    if not entities:
        return []
    each = [counts.get(one, 0) for one in sorted(set(entities))]
    low, high = map(int, np.quantile(each, [1 / 3, 2 / 3], method="lower"))
    return [names[(counts.get(one, 0) > low) + (counts.get(one, 0) > high)] for one in entities]


def draw(keys: Sequence[str], strata: Sequence[str], size: int, seed: int) -> list[int]:
    """Draw a stratified sample.

    Args:
        keys: Key of each row, all different.
        strata: Stratum of each row.
        size: How many rows to draw; all if there are not so many.
        seed: Another seed draws other rows.

    Returns:
        Places of the drawn rows, in the order in which they were drawn: the first n are the sample of size n.

    Example:
        >>> drawn = draw(["a", "b", "c", "d", "e"], ["warm", "warm", "warm", "warm", "cold"], 2, seed=0)
        >>> len(drawn), 4 in drawn
        (2, True)
    """
    members: dict[str, list[tuple[bytes, int]]] = {}
    for place, (key, stratum) in enumerate(zip(keys, strata, strict=True)):
        members.setdefault(stratum, []).append((_hash(key, seed), place))
    turns: list[tuple[float, bytes, int]] = []
    for hashed in members.values():
        number = len(hashed)
        for taken, (digest, place) in enumerate(sorted(hashed)):
            # The first of every stratum comes before all others, that of the largest stratum first of all.
            turns.append(((taken + 0.5) / number if taken else -number, digest, place))
    return [place for *_, place in sorted(turns)[:size]]


def _hash(key: str, seed: int) -> bytes:
    return hashlib.blake2b(f"{seed}/{key}".encode("utf-8", "surrogatepass"), digest_size=16).digest()
