"""Vectors: stored by text and encoder, and read by a model with two clocks; and the states of fitted encoders."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pyarrow as pa

from base.faults import WrongUse
from feature_store.database import Store, Writer
from feature_store.lineage import VectorName
from feature_store.schemas import STATES, vectors_schema
from feature_store.writer import quoted

STATES_TABLE = "encoder_states"
SHARED = re.compile(r"vectors_(?P<encoder>[A-Za-z0-9_-]+)_(?P<dimension>\d+)")
"""Names of tables that hold the vectors of several techniques, up to format 1 of the store."""
FEW = 100
"""Vectors up to this number are read by their keys, more by reading all of their encoder."""


def text_key(text: str) -> str:
    """Return the key of a text: a hash of its content."""
    return hashlib.sha256(text.encode("utf-8", errors="surrogatepass")).hexdigest()


def vector_key(text: str, fingerprint: str) -> str:
    """Return the key of a vector, from the key of its text and the fingerprint of its encoder."""
    return hashlib.sha256(f"{text}/{fingerprint}".encode()).hexdigest()


def vectors_table(name: VectorName, dimension: int) -> str:
    """Return the name of the table with the vectors of one technique, or part of its answers, from one encoder.

    Each has a table of its own, so that a search of items reads no vectors of users.

    Example:
        >>> vectors_table(VectorName("once_profile.topics", "dense"), 384), vectors_table(VectorName("größe", "e"), 2)
        ('vectors_dense_384.once_profile.topics', 'vectors_e_2.gr-c3-b6-c3-9fe')
    """
    return f"{shared_table(name.encoder, dimension)}.{re.sub(r'[^A-Za-z0-9_.]', _as_bytes, name.task)}"


def _as_bytes(character: re.Match[str]) -> str:
    """Write a character that LanceDB does not allow in a name."""
    return "".join(f"-{byte:02x}" for byte in character.group().encode())


def shared_table(encoder: str, dimension: int) -> str:
    """Return the name of the table that all techniques shared before format 2 of the store; old releases read it."""
    return f"vectors_{encoder}_{dimension}"


def known_vectors(store: Store, name: VectorName, dimension: int, fingerprint: str) -> pl.Series:
    """Return the text keys of a technique that already have a vector from this encoder."""
    where = f"fingerprint = {quoted(fingerprint)}"
    own, shared = vectors_table(name, dimension), shared_table(name.encoder, dimension)
    table = shared if not store.has(own) and store.has(shared) else own  # `knowflow plan` reads old stores, too
    rows = store.read(table, vectors_schema(dimension), columns=["text_key"], where=where)
    return pl.Series("text_key", rows["text_key"], dtype=pl.String)


def write_vectors(writer: Writer, name: VectorName, fingerprint: str, keys: Sequence[str], vectors: np.ndarray) -> int:
    """Commit vectors.

    Args:
        writer: The store's writer.
        name: The technique, or part of its answers, and the encoder.
        fingerprint: Identifies everything that shapes its vectors.
        keys: [n] text keys.
        vectors: [n, d] float32; stored in half precision.
    """
    dimension = vectors.shape[1]
    flat = pa.array(vectors.astype(np.float16).ravel())
    rows = pa.table(
        {
            "key": [vector_key(key, fingerprint) for key in keys],
            "text_key": list(keys),
            "fingerprint": [fingerprint] * len(keys),
            "vector": pa.FixedSizeListArray.from_arrays(flat, dimension),
        }
    )
    return writer.upsert(vectors_table(name, dimension), rows, vectors_schema(dimension))


class MissingVectors(WrongUse):
    """Texts have no vector where a release, or a newer state of the store, should hold one."""


def read_vectors(
    store: Store,
    table: str,
    dimension: int,
    fingerprint: str,
    keys: Sequence[str],
    version: int | None = None,
    holder: str = "the store",
) -> np.ndarray:
    """Read the vectors of some texts, in the order of `keys`.

    Args:
        store: The store.
        table: The table that holds them: `vectors_table`, or `released_table` of a release.
        dimension: Length of the vectors.
        fingerprint: Identifies everything that shapes them.
        keys: [n] text keys.
        version: Version of the table; None = the newest.
        holder: What should hold the vectors, for messages: `release 7`.

    Returns:
        [n, d] float32.

    Raises:
        MissingVectors: A text has no vector from this encoder; the gates of a release rule this out.
    """
    where = f"fingerprint = {quoted(fingerprint)}"
    if len(keys) <= FEW:
        where += f" AND text_key IN ({', '.join(map(quoted, keys))})" if keys else " AND false"
    rows = store.read(table, vectors_schema(dimension), columns=["text_key", "vector"], where=where, version=version)
    place = pl.DataFrame({"text_key": pl.from_arrow(rows["text_key"])}).with_row_index("place")
    found = pl.DataFrame({"text_key": pl.Series(list(keys), dtype=pl.String)}).join(
        place, on="text_key", how="left", maintain_order="left"
    )
    if missing := found["place"].null_count():
        which = f"{table} (version {version})" if version is not None else table
        what = f"{holder}: {missing:,} of {len(found):,} texts have no vector in the table {which}"
        raise MissingVectors(f"{what}\n  make them, and a release that holds them: knowflow refresh")
    return _gather(rows["vector"], found["place"].to_numpy(), dimension)


def _gather(vectors: pa.ChunkedArray, place: np.ndarray, dimension: int) -> np.ndarray:
    """Return some vectors as float32: [n, d]; chunk by chunk, so that the table is not copied first."""
    out = np.empty((len(place), dimension), dtype=np.float32)
    order, begin = np.argsort(place), 0
    ordered = place[order]
    for chunk in vectors.chunks:
        here = order[np.searchsorted(ordered, begin) : np.searchsorted(ordered, begin + len(chunk))]
        out[here] = chunk.flatten().to_numpy(zero_copy_only=False).reshape(-1, dimension)[place[here] - begin]
        begin += len(chunk)
    return out


def newest_state(store: Store, encoder: str, space: str) -> dict | None:
    """Return the newest fitted state of an encoder for a space: fingerprint, text_keys, state (bytes); or None."""
    rows = store.read(STATES_TABLE, STATES, where=f"encoder = {quoted(encoder)} AND space = {quoted(space)}")
    return max(rows.to_pylist(), key=lambda row: row["created_at"], default=None)


def spaces_of(store: Store) -> dict[str, str]:
    """Return fingerprint -> space of every fitted state."""
    rows = store.read(STATES_TABLE, STATES, columns=["fingerprint", "space"])
    return dict(zip(rows["fingerprint"].to_pylist(), rows["space"].to_pylist(), strict=True))


def write_state(writer: Writer, encoder: str, space: str, fingerprint: str, keys: Sequence[str], state: bytes) -> None:
    """Commit a fitted state with the text keys it was fitted on.

    It is the newest one even if the clock has jumped back since the one before.
    """
    before = newest_state(writer.store, encoder, space)
    now = datetime.now(UTC)
    row = {
        "fingerprint": fingerprint,
        "encoder": encoder,
        "space": space,
        "text_keys": list(keys),
        "state": state,
        "created_at": now if before is None else max(now, before["created_at"] + timedelta(microseconds=1)),
    }
    writer.upsert(STATES_TABLE, pa.Table.from_pylist([row], schema=STATES), STATES)


@dataclass(frozen=True)
class Knowledge:
    """Vectors of one task from one encoder, as a release holds them."""

    task: str
    """Name of the technique, such as `kar_item`."""
    encoder: str
    """Name of the encoder, such as `dense` or `lexical`."""
    entity: str
    """What a row is about: `item`, `user`, or `event` (of a user with an item, at time `as_of`)."""
    entities: np.ndarray
    """[M] str, the id of each row's entity."""
    as_of: np.ndarray
    """[M] datetime64[us], UTC: the newest event the row may have seen."""
    vectors: np.ndarray
    """[M, d] float32; int32 where it holds codes (`feature_store.codes.Codes.knowledge`)."""
    seen_until: np.datetime64 | None = None
    """datetime64[us], UTC: the newest event that the encoder, or the model that wrote about events, was tuned on; None
    if there is none. The `as_of` of rows about items and users is never earlier. Rows about events keep the event's own
    time as `as_of`, so code that shows them to a sample must check this too."""


def mean_of_sets(knowledge: Knowledge) -> Knowledge:
    """Replace several vectors of one entity and moment by their mean; all others stay unchanged.

    Args:
        knowledge: Vectors, M rows.

    Returns:
        At most M rows, ordered by the first row of each entity and moment.

    Example:
        >>> when = np.array(["2020-01-01"] * 3, dtype="datetime64[us]")
        >>> vectors = np.array([[1.0, 0.0], [0.0, 1.0], [4.0, 4.0]], dtype=np.float32)
        >>> mean_of_sets(Knowledge("t", "e", "user", np.array(["a", "a", "b"]), when, vectors)).vectors.tolist()
        [[0.5, 0.5], [4.0, 4.0]]
    """
    rows = pl.DataFrame({"entity": knowledge.entities, "as_of": knowledge.as_of})
    if not rows.is_duplicated().any():
        return knowledge
    pairs = np.array([f"{entity}\n{time}" for entity, time in zip(knowledge.entities, knowledge.as_of, strict=True)])
    _, first, place, count = np.unique(pairs, return_index=True, return_inverse=True, return_counts=True)
    total = np.zeros((len(first), knowledge.vectors.shape[1]), dtype=np.float64)
    np.add.at(total, place, knowledge.vectors)
    order = np.argsort(first)
    return replace(
        knowledge,
        entities=knowledge.entities[first[order]],
        as_of=knowledge.as_of[first[order]],
        vectors=(total / count[:, None])[order].astype(np.float32),
    )


def as_of_rows(entity: np.ndarray, time: np.ndarray, row_entity: np.ndarray, row_as_of: np.ndarray) -> np.ndarray:
    """Return for each sample the newest row of its entity that was known strictly before the sample's time.

    A row whose `as_of` equals the sample's time is not seen: many logs hold several events in one second.

    Args:
        entity: [N] int64, code of the entity that each sample asks about.
        time: [N] datetime64[us], time of each sample.
        row_entity: [M] int64, code of the entity that each row is about.
        row_as_of: [M] datetime64[us], the newest event that each row may have seen.

    Returns:
        [N] int64: index into the rows, -1 where no row was known yet.

    Example:
        >>> second = np.array(["2020-01-01", "2020-01-02"], dtype="datetime64[us]")
        >>> as_of_rows(np.array([7, 7]), second, np.array([7]), second[:1]).tolist()
        [-1, 0]
    """
    if len(row_entity) == 0:
        return np.full(len(entity), -1, dtype=np.int64)
    order = np.lexsort((row_as_of, row_entity))
    sorted_entity, sorted_time = row_entity[order], row_as_of[order]
    # One sortable integer per (entity, time); times become ranks, so that no date can overflow it.
    moments = np.unique(np.concatenate([sorted_time, time]))
    width = np.int64(len(moments) + 1)
    row_key = sorted_entity.astype(np.int64) * width + np.searchsorted(moments, sorted_time)
    sample_key = entity.astype(np.int64) * width + np.searchsorted(moments, time)
    newest = np.searchsorted(row_key, sample_key, side="left") - 1  # side=left: strictly earlier
    found = (newest >= 0) & (sorted_entity[np.maximum(newest, 0)] == entity)
    return np.where(found, order[np.maximum(newest, 0)], -1)
