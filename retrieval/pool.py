"""The pool of in-context examples of a release, searched for one sample at a time by LanceDB.

LLM-CF (Sun et al. 2024, arXiv 2403.17688, section 4.3) ranks examples by 0.5 <history, history> + 0.5 <item, item> over
encodings of length 1. Both laid end to end and scaled by the root of a half are one vector whose inner product with
another one is just this sum, so that a vector search finds what the paper ranks first.

Training looks for the examples of every row at once, by a matrix product; this is for looking at a single sample.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast

import lancedb
import numpy as np
import polars as pl
import pyarrow as pa
from lancedb.index import IvfFlat
from lancedb.query import LanceVectorQueryBuilder

from feature_store.database import Store, quoted
from feature_store.knowledge import Knowledge
from feature_store.releases import NoRelease, Release, released_knowledge, released_lineage
from sources.events import histories
from sources.tables import event_of

TASK, ITEMS = "cot_examples", "item_facts/dense"
"""Whose reasonings are the examples, and whose vectors encode items."""
HISTORY = 12
"""Events of a history that are encoded, the newest ones."""
INDEXED_FROM = 10_000
"""Examples from which on an index is worth its making; fewer are compared one by one."""
EVENT = ["user", "item", "time"]


@dataclass(frozen=True)
class Found:
    """The examples of one sample."""

    examples: tuple[Mapping[str, Any], ...]
    """user, item, time, label (0 or 1), text (the reasoning) and similarity of each: the liked ones first, then the
    others, the most similar of each first."""
    lacking: int
    """How many of the examples asked for the guards left none for; 0 when there were enough of both labels."""


class Pool:
    """Examples and the vectors by which they are found.

    Args:
        examples: user, item (String), time (Datetime us UTC), label (0 or 1) and text, one row an example.
        vectors: [n, 2d] float32, from `sample_vectors`.
        indexed_from: Examples from which on there is an index.
    """

    def __init__(self, examples: pl.DataFrame, vectors: np.ndarray, indexed_from: int = INDEXED_FROM) -> None:
        self.examples = examples
        table = pa.table(
            {
                "place": np.arange(len(examples)),
                "user": pa.array(examples["user"].to_list(), pa.utf8()),
                "time": examples["time"].to_physical().to_numpy(),
                "label": examples["label"].cast(pl.Int8).to_numpy(),
                "vector": pa.FixedSizeListArray.from_arrays(
                    pa.array(vectors.astype(np.float32).ravel()), vectors.shape[1]
                ),
            }
        )
        # Made of one pinned release and never written to: it lives in memory and goes with this object.
        self._table = lancedb.connect("memory://").create_table("pool", table)
        self._partitions = int(len(examples) ** 0.5) if len(examples) >= indexed_from else 0
        if self._partitions:
            self._table.create_index("vector", config=IvfFlat(distance_type="dot", num_partitions=self._partitions))

    def search(self, vector: np.ndarray, user: str, time: datetime, k: int = 4, *, strict: bool = True) -> Found:
        """Find k examples for a sample, half of them liked and half of them not.

        Never among them: the sample itself, and examples of its user that are not strictly earlier; in strict mode no
        example that is not strictly earlier.

        Args:
            vector: [2d] float32, from `sample_vectors`.
            user: Whose sample it is.
            time: When it happened.
            k: How many examples; an even number.
            strict: Whether examples of other users must be strictly earlier, too.
        """
        if k < 2 or k % 2:
            raise ValueError(f"k is {k}: half of the examples are liked and half are not, so that it must be even")
        earlier = f"time < {_microseconds(time)}"
        allowed = earlier if strict else f"(user != {quoted(user)} OR {earlier})"
        found = [row for label in (1, 0) for row in self._nearest(vector, f"label = {label} AND {allowed}", k // 2)]
        rows = self.examples[[row["place"] for row in found]].iter_rows(named=True)
        # LanceDB tells a distance, 1 minus the inner product.
        examples = [{**row, "similarity": 1 - hit["_distance"]} for row, hit in zip(rows, found, strict=True)]
        return Found(tuple(examples), k - len(examples))

    def _nearest(self, vector: np.ndarray, where: str, number: int) -> list[dict[str, Any]]:
        found = self._table.search(vector.astype(np.float32), vector_column_name="vector")
        query = cast(LanceVectorQueryBuilder, found).distance_type("dot").where(where, prefilter=True)
        query = query.limit(number).select(["place", "_distance"])
        if self._partitions:
            # A quarter of the partitions; more of them, up to all, while the guards leave too few.
            query = query.minimum_nprobes(max(1, self._partitions // 4)).maximum_nprobes(0)
        return query.to_list()


@dataclass(frozen=True)
class ExampleSearch:
    """A pool with what it takes to encode a sample."""

    pool: Pool
    """The examples."""
    events: pl.DataFrame
    """user, item, time of all events, sorted by time."""
    places: Mapping[str, int]
    """Item id -> row of `vectors`."""
    vectors: np.ndarray
    """[I, d] float32: the encoding of each item."""
    known: np.ndarray
    """[I] datetime64[us]: the encodings count only for moments strictly later than this."""
    told: datetime | None = None
    """The newest event that the model of the reasonings was tuned on: only later samples are shown any."""

    def examples_of(self, user: str, item: str, time: datetime, k: int = 4, *, strict: bool = True) -> Found:
        """Find k examples for a user, an item and a moment, as `Pool.search` does."""
        if self.told is not None and time <= self.told:
            return Found((), k)
        log = self.events.filter((pl.col("user") == user) & (pl.col("time") < time)).tail(HISTORY)
        rows = [self.places.get(one, -1) for one in log["item"]]
        past = np.array([[-1] * (HISTORY - len(rows)) + rows])  # [1, H]
        when = np.array([_microseconds(time)]).astype("datetime64[us]")
        target = np.array([self.places.get(item, -1)])
        (vector,) = sample_vectors(_known_at(past, when, self.known), _known_at(target, when, self.known), self.vectors)
        return self.pool.search(vector, user, time, k, strict=strict)


def open_pool(store: Store, release: Release, events: pl.DataFrame, parts: Sequence[str]) -> ExampleSearch:
    """Read the examples of a release.

    Args:
        store: The store.
        release: The release; what came later is not seen.
        events: user, item, time and label, sorted by time, as the dataset has them.
        parts: [N] the part of each event; rows about events that do not train are left out.

    Raises:
        NoRelease: The release holds no vectors of items, or no examples.
    """
    if not any(name.startswith(f"{TASK}/") for name in release.facts.get("vectors", {})):
        raise NoRelease(f"{release.name}: holds no {TASK}\n  ask for some: knowflow refresh --task {TASK}")
    items = released_knowledge(store, release, *ITEMS.split("/"))
    rows = released_lineage(store, release, [TASK]).filter(pl.col("text").is_not_null())
    named = pl.DataFrame(
        [event_of(entity) for entity in rows["entity"]], {"user": pl.String, "item": pl.String}, orient="row"
    )
    reasonings = pl.concat([named, rows.select("text", time="as_of")], how="horizontal")
    log = events.select(*EVENT, "label").with_row_index("row")
    training = log.filter(pl.Series(list(parts)) == "train")
    examples = training.join(reasonings, on=EVENT, maintain_order="left")
    times = examples["time"].dt.replace_time_zone(None).to_numpy().astype("datetime64[us]")
    places = _places(items)
    codes = np.array([places.get(item, -1) for item in log["item"]], dtype=np.int64)  # [N]
    past = histories(log, HISTORY)[examples["row"].to_numpy()]  # [n, H]
    past = _known_at(np.where(past >= 0, codes[past], -1), times, items.as_of)
    target = _known_at(codes[examples["row"].to_numpy()], times, items.as_of)
    vectors = sample_vectors(past, target, items.vectors)
    told = max(rows["model_seen_until"].drop_nulls(), default=None)
    pool = Pool(examples.drop("row"), vectors)
    return ExampleSearch(pool, log.select(EVENT), places, items.vectors, items.as_of, told)


def _known_at(rows: np.ndarray, times: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Leave out what was not known strictly before a moment: [n] or [n, H] rows, [n] times -> rows with -1."""
    if not len(known):
        return np.full_like(rows, -1)
    times = times.reshape(-1, *[1] * (rows.ndim - 1))
    return np.where((rows >= 0) & (known[rows] < times), rows, -1)


def sample_vectors(past: np.ndarray, target: np.ndarray, items: np.ndarray) -> np.ndarray:
    """Encode samples so that the inner product of two is 0.5 <history, history> + 0.5 <item, item>.

    A history is the mean of its items' encodings. All encodings are brought to length 1 before they are compared; one
    of nothing (no history, an item without a vector) is 0 and like nothing.

    Args:
        past: [n, H] rows of `items` that each sample's history holds, -1 = none.
        target: [n] row of `items` that each sample is about, -1 = none.
        items: [I, d] encodings of items.

    Returns:
        [n, 2d] float32.
    """
    known = np.concatenate([normalised(items), np.zeros((1, items.shape[1]), dtype=np.float32)])  # row -1 is nothing
    total = np.zeros((len(past), items.shape[1]), dtype=np.float32)
    for column in past.T:  # [n]; all at once would be [n, H, d]
        total += known[column]
    history = normalised(total)  # [n, d]; sum and mean have one direction
    return np.concatenate([history, known[target]], axis=1) * np.float32(0.5**0.5)


def normalised(vectors: np.ndarray) -> np.ndarray:
    """Bring vectors to length 1; a vector of zeros stays one: [n, d] float32."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.where(lengths > 0, lengths, 1)).astype(np.float32)


def _places(items: Knowledge) -> dict[str, int]:
    return {str(item): place for place, item in enumerate(items.entities)}


def _microseconds(time: datetime) -> int:
    return (time - datetime(1970, 1, 1, tzinfo=time.tzinfo)) // timedelta(microseconds=1)
