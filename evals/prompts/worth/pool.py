"""The pool: the vectors of all versions and of the facts about the same rows, from which every measure picks.

Every source is shifted so that its mean is 0: what all its texts have in common, such as JSON or prose, tells no row
from another. A row without a text has the vector 0, as if nothing were known; it stays in the sample, because a
version that fails to answer is worth less.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from evals.trial import FACTS, Trial

Encode = Callable[[Sequence[str]], np.ndarray]
"""[n] texts -> [n, d] vectors."""


@dataclass(frozen=True)
class Pool:
    """S sources of n rows each."""

    names: tuple[str, ...]
    """The versions, then `facts` where there are some."""
    vectors: np.ndarray
    """[S n, d] float64 of length one, or 0 where there is no text; those of the first source come first."""
    gram: np.ndarray
    """[S n, S n]: their inner products."""

    @property
    def rows(self) -> int:
        """Return the number of rows of a source, n."""
        return len(self.vectors) // len(self.names)

    def of(self, name: str) -> np.ndarray:
        """Return which vectors are those of a source: [n] int64."""
        return self.names.index(name) * self.rows + np.arange(self.rows)

    def kernel(self, chosen: np.ndarray) -> np.ndarray:
        """Return the inner products of one vector a row, shifted to mean 0: [n] int64 -> [n, n]."""
        products = self.gram[np.ix_(chosen, chosen)]
        mean = products.mean(axis=0)
        return products - mean - mean[:, None] + mean.mean()


def fill_pool(trial: Trial, facts: Mapping[str, str], encode: Encode) -> Pool:
    """Encode all texts of a trial, each distinct one once.

    Args:
        trial: The trial.
        facts: Entity -> what the catalogue says; empty if it says nothing.
        encode: Turns texts into vectors.
    """
    texts = {version: trial.texts(version) for version in trial.versions}
    if facts:
        texts[FACTS] = [facts.get(row.entity) for row in trial.rows]
    distinct = sorted({text for column in texts.values() for text in column if text})
    place = {text: number for number, text in enumerate(distinct)}
    encoded = unit(np.asarray(encode(distinct), dtype=np.float64)) if distinct else np.zeros((0, 1))
    sources = [_source(column, place, encoded) for column in texts.values()]
    vectors = np.concatenate(sources)
    return Pool(tuple(texts), vectors, vectors @ vectors.T)


def remembered(encode: Encode) -> Encode:
    """Encode each distinct text once, however often it is asked for: several measures read the same descriptions."""
    known: dict[str, np.ndarray] = {}

    def encoded(texts: Sequence[str]) -> np.ndarray:
        if new := [text for text in dict.fromkeys(texts) if text not in known]:
            known.update(zip(new, encode(new), strict=True))
        return np.stack([known[text] for text in texts])

    return encoded


def _source(texts: Sequence[str | None], place: Mapping[str, int], encoded: np.ndarray) -> np.ndarray:
    known = np.array([bool(text) for text in texts], dtype=bool)
    out = np.zeros((len(texts), encoded.shape[1]))
    if known.any():
        found = encoded[[place[text] for text in texts if text]]
        out[known] = unit(found - found.mean(axis=0))
    return out


def unit(vectors: np.ndarray) -> np.ndarray:
    """Scale vectors to length one; 0 stays 0: [n, d]."""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.divide(vectors, length, out=np.zeros_like(vectors), where=length > 1e-12)
