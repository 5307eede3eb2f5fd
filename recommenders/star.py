"""STAR: training-free; items similar to the newest events in text and in who liked them.

Paper:     Lee et al. 2024, "STAR: A Simple Training-free Approach for Recommendations using Large Language Models"
           (arXiv 2410.16458), its retrieval; the re-ranking by a language model is left out.
Formula:   score(x) = 1/n sum_{t=0..n-1} r_t l^t ( a cos(v_x, v_t) + (1 - a) R_xt )
           t = 0 is the newest of the n events, r_t its rating over the highest one (1 without `rated`), v the vectors
           of a release, R the cosine of items by who liked them (`cooccurrence`)
Consumes:  vectors of items in a release, known before the first request; training events; ratings.
Relations: with a = 0, l = 1 and only liked events it is `cooccurrence`; with a = 1 it is text similarity alone.
Example:   knowflow eval recommend --model star --set star.vectors=kar_item/dense
"""

from dataclasses import dataclass

import numpy as np
from pydantic import Field
from scipy import sparse

from base.frozen import Frozen
from recommenders.cooccurrence import arrays_of, cosine_from, cosine_of_items
from recommenders.log import Requests
from recommenders.protocol import Context, Ranked, Recommender, State
from recommenders.ranking import rank_all
from retrieval.vectors import unit_length


class StarOptions(Frozen):
    """Options of STAR."""

    vectors: str = "item_facts/dense"
    """Released vectors of items, as technique/encoder."""
    language: float = Field(default=0.5, ge=0, le=1)
    """Weight a of the vectors' cosine; the rest is co-occurrence."""
    recency: float = Field(default=0.8, gt=0, le=1)
    """Factor l by which each older event counts less."""
    history: int = Field(default=50, ge=1)
    """Newest events to use."""
    liked: bool = True
    """Use only events with label 1."""
    rated: bool = True
    """Weight events by their ratings."""


@dataclass(frozen=True)
class Star:
    """Vectors and co-occurrence of items, and their weights."""

    vectors: np.ndarray
    """[I, d] float32 of length one, zeros where nothing was known."""
    together: sparse.csr_matrix
    """[I, I] float32."""
    highest: float
    """The highest rating in training."""
    options: StarOptions
    """The weights."""

    def recommend(self, requests: Requests, k: int) -> Ranked:
        """Recommend items similar to each user's newest events."""
        return rank_all(lambda part: self._scores(part.liked() if self.options.liked else part), requests, k)

    def _scores(self, requests: Requests) -> np.ndarray:
        """[B, I]."""
        weights = self._weights(requests)
        near = (weights @ self.vectors) @ self.vectors.T
        together = sparse.csr_matrix(weights @ self.together).toarray()
        return self.options.language * near + (1 - self.options.language) * together

    def _weights(self, requests: Requests) -> sparse.csr_matrix:
        """Return the weight of each item in the history: [B, I]."""
        newest = requests.newest(self.options.history)
        row, column = np.nonzero(newest >= 0)
        event = newest[row, column]
        age = self.options.history - 1 - column
        rating = requests.past.rating[event] / self.highest if self.options.rated else 1.0
        number = np.bincount(row, minlength=len(requests))[row]
        weight = (rating * self.options.recency**age / number).astype(np.float32)
        return sparse.csr_matrix((weight, (row, requests.past.item[event])), shape=(len(requests), len(self.vectors)))

    def state(self) -> State:
        """Return vectors and co-occurrence."""
        return State(arrays_of(self.together) | {"vectors": self.vectors}, {"highest": self.highest})


def fit(context: Context, options: StarOptions) -> Star:
    """Read vectors and compute co-occurrence.

    Raises:
        NoRelease: No release has the vectors.
    """
    vectors = unit_length(context.vectors(options.vectors)).astype(np.float32)
    highest = float(context.log.rating.max(initial=0)) or 1.0
    return Star(vectors, cosine_of_items(context.log, len(context.items)), highest, options)


def load(state: State, options: StarOptions) -> Star:
    """Restore a saved model."""
    return Star(state.arrays["vectors"], cosine_from(state.arrays), state.facts["highest"], options)


STAR = Recommender("star", "like the newest events in text and in who liked it, training-free", StarOptions, fit, load)
