"""Vectors, addressed by their text and encoder, and the states of fitted encoders."""

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np
import polars as pl
import pyarrow as pa

from feature_store.database import Store, Writer, quoted
from feature_store.schemas import STATES, vectors_schema

STATES_TABLE = "encoder_states"


def text_key(text: str) -> str:
    """Return the key of a text: a hash of its content."""
    return hashlib.sha256(text.encode("utf-8", errors="surrogatepass")).hexdigest()


def vector_key(text: str, fingerprint: str) -> str:
    """Return the key of a vector, from the key of its text and the fingerprint of its encoder."""
    return hashlib.sha256(f"{text}/{fingerprint}".encode()).hexdigest()


def vectors_table(encoder: str, dimension: int) -> str:
    """Return the name of the table with one encoder's vectors of one length."""
    return f"vectors_{encoder}_{dimension}"


def known_vectors(store: Store, encoder: str, dimension: int, fingerprint: str) -> set[str]:
    """Return the text keys that already have a vector from this encoder."""
    table = vectors_table(encoder, dimension)
    where = f"fingerprint = {quoted(fingerprint)}"
    rows = store.read(table, vectors_schema(dimension), columns=["text_key"], where=where)
    return set(rows["text_key"].to_pylist())


def write_vectors(writer: Writer, encoder: str, fingerprint: str, keys: Sequence[str], vectors: np.ndarray) -> int:
    """Commit vectors.

    Args:
        writer: The store's writer.
        encoder: Name of the encoder.
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
    return writer.upsert(vectors_table(encoder, dimension), rows, vectors_schema(dimension))


def read_vectors(
    store: Store, encoder: str, dimension: int, fingerprint: str, keys: Sequence[str], version: int | None = None
) -> np.ndarray:
    """Read the vectors of some texts, in the order of `keys`.

    Returns:
        [n, d] float32.

    Raises:
        KeyError: A text has no vector from this encoder; the gates of a release rule this out.
    """
    table = vectors_table(encoder, dimension)
    where = f"fingerprint = {quoted(fingerprint)}"
    rows = store.read(table, vectors_schema(dimension), columns=["text_key", "vector"], where=where, version=version)
    place = pl.DataFrame({"text_key": pl.Series(rows["text_key"].to_pylist(), dtype=pl.String)}).with_row_index("place")
    found = pl.DataFrame({"text_key": pl.Series(list(keys), dtype=pl.String)}).join(
        place, on="text_key", how="left", maintain_order="left"
    )
    if found["place"].null_count():
        raise KeyError(f"{found['place'].null_count():,} texts have no vector in {table}: run `knowflow refresh`")
    matrix = rows["vector"].combine_chunks().flatten().to_numpy(zero_copy_only=False).reshape(-1, dimension)
    return matrix[found["place"].to_numpy()].astype(np.float32)


def newest_state(store: Store, encoder: str, space: str) -> dict | None:
    """Return the newest fitted state of an encoder for a space: fingerprint, text_keys, state (bytes); or None."""
    rows = store.read(STATES_TABLE, STATES, where=f"encoder = {quoted(encoder)} AND space = {quoted(space)}")
    return max(rows.to_pylist(), key=lambda row: row["created_at"], default=None)


def spaces_of(store: Store) -> dict[str, str]:
    """Return fingerprint -> space of every fitted state."""
    rows = store.read(STATES_TABLE, STATES, columns=["fingerprint", "space"])
    return dict(zip(rows["fingerprint"].to_pylist(), rows["space"].to_pylist(), strict=True))


def write_state(writer: Writer, encoder: str, space: str, fingerprint: str, keys: Sequence[str], state: bytes) -> None:
    """Commit a fitted state with the text keys it was fitted on."""
    row = {
        "fingerprint": fingerprint,
        "encoder": encoder,
        "space": space,
        "text_keys": list(keys),
        "state": state,
        "created_at": datetime.now(UTC),
    }
    writer.upsert(STATES_TABLE, pa.Table.from_pylist([row], schema=STATES), STATES)
