"""Vectors of the items' texts in a release, and the encoder for queries."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from base.progress import silent
from encoders.protocol import Encoder
from feature_store.database import Store
from feature_store.releases import NoRelease, Release, released_knowledge
from retrieval.relevance import DenseCosine, Encode
from retrieval.vectors import dense_ranking, unit_length


@dataclass(frozen=True)
class Vectors:
    """Vectors of the items' texts, and the function that encodes queries like them."""

    documents: Mapping[str, np.ndarray]
    """Task -> [N, d], each of length one; an item without a text of a task has its vector of the first task."""
    encode: Encode
    """Texts -> [n, d], each of length one."""

    def relevance(self) -> DenseCosine:
        """Return the relevance model that uses the nearest of an item's texts."""
        first, *others = self.documents.values()
        return DenseCosine(first, self.encode, others)

    def rank(self, queries: Sequence[str], k: int, tasks: Sequence[str]) -> np.ndarray:
        """Rank the items by the vectors of some tasks' texts: [Q] queries -> [Q, k] positions, -1 = none."""
        of = [found for task, found in self.documents.items() if task in tasks]
        return dense_ranking(self.encode(queries), of, k)


def open_vectors(
    store: Store, release: Release, items: Sequence[str], tasks: Sequence[str], encoder: str, model: Encoder
) -> Vectors:
    """Read the items' vectors of a release, and build the encoder for queries.

    Args:
        store: The store.
        release: The release.
        items: [N] ids.
        tasks: Techniques about items. The first is required; the others are used if the release has them.
        encoder: Name of the encoder.
        model: The encoder as configured now.

    Raises:
        NoRelease: The release has no vectors of the first, or they were made by a different encoder.
    """
    documents: dict[str, np.ndarray] = {}
    for task in comparable_tasks(release, tasks, encoder, model.fingerprint):
        known = released_knowledge(store, release, task, encoder)
        order = np.argsort(known.as_of, kind="stable")  # the newest of several texts about one item wins
        row_of = {str(known.entities[row]): int(row) for row in order}
        rows = np.array([row_of.get(item, -1) for item in items])
        nothing = np.zeros((1, known.vectors.shape[1]), dtype=np.float32)  # similar to no query
        missing = next(iter(documents.values()), nothing)
        documents[task] = unit_length(np.where(rows[:, None] >= 0, known.vectors[rows], missing))
    return Vectors(documents, remembering(lambda texts: unit_length(model.encode(list(texts), silent))))


def comparable_tasks(release: Release, tasks: Sequence[str], encoder: str, now: str) -> list[str]:
    """Return the techniques whose vectors in the release match the encoder as configured now; the first is required.

    Args:
        release: The release.
        tasks: Techniques about items.
        encoder: Name of the encoder.
        now: Its current fingerprint.

    Raises:
        NoRelease: The first is missing.
    """
    made = {name.task: one.fingerprint for name, one in release.vectors.items() if name.encoder == encoder}
    there = [task for task in dict.fromkeys(tasks) if made.get(task) == now]
    if tasks[0] not in there:
        changed = ", as that encoder is set now" if tasks[0] in made else ""
        raise NoRelease(
            f"{release.name}: holds no vectors of {tasks[0]} under {encoder}{changed}\n"
            f"  make them: knowflow refresh --task {tasks[0]}"
        )
    return there


def remembering(encode: Encode) -> Encode:
    """Cache an encoder: the same queries are ranked, calibrated on and judged, in several kinds of documents."""
    memory: dict[str, np.ndarray] = {}

    def remembered(texts: Sequence[str]) -> np.ndarray:
        new = sorted(set(texts) - memory.keys())
        if new:
            memory.update(zip(new, encode(new), strict=True))
        return np.stack([memory[text] for text in texts])

    return remembered
