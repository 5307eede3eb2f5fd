"""Knowledge as a model reads it: vectors with two clocks, and the strict as-of read."""

from dataclasses import dataclass, replace

import numpy as np


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
    pairs = np.array([f"{entity}\n{time}" for entity, time in zip(knowledge.entities, knowledge.as_of, strict=True)])
    _, first, place, count = np.unique(pairs, return_index=True, return_inverse=True, return_counts=True)
    if len(first) == len(pairs):
        return knowledge
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
