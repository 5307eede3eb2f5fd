"""Co-occurrence: items liked by the people who like what the user liked before.

Formula:   C_ij = users who liked i and j in training;  R_ij = C_ij / sqrt(C_ii C_jj), R_ii = 0
           score(x) = sum_{j in H} R_xj,  H = the newest events of the history with label 1
Consumes:  training events.   Of equal scores the more popular item comes first.
Sources:   Sarwar et al. 2001, "Item-based collaborative filtering recommendation algorithms" (cosine of items).
Relations: the control of every model that reads histories; `star` adds language to it.
Example:   knowflow eval recommend --model cooccurrence
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from pydantic import Field
from scipy import sparse

from base.frozen import Frozen
from recommenders.log import Log, Requests
from recommenders.popularity import liked_events
from recommenders.protocol import Context, Ranked, Recommender, State
from recommenders.ranking import rank_all

TIE = 1e-9
"""Weight of popularity, smaller than any real difference between two sums of cosines."""


class CooccurrenceOptions(Frozen):
    """Options of co-occurrence."""

    history: int = Field(default=50, ge=1)
    """Newest liked events of a user's history to use."""


def cosine_of_items(log: Log, items: int) -> sparse.csr_matrix:
    """Return the cosines of items by who liked them: [I, I] float32, the diagonal 0."""
    liked = log.label == 1
    users, user = np.unique(log.user[liked], return_inverse=True)
    had = sparse.csr_matrix((np.ones(len(user)), (user, log.item[liked])), shape=(len(users), items))
    had.data[:] = 1  # a user who liked an item twice counts once
    norm = np.sqrt(np.asarray(had.sum(axis=0)).ravel())
    unit = had @ sparse.diags(np.divide(1, norm, out=np.zeros(items), where=norm > 0))
    cosine = sparse.csr_matrix(unit.T @ unit, dtype=np.float32)
    cosine.setdiag(0)
    cosine.eliminate_zeros()
    return cosine


def arrays_of(cosine: sparse.csr_matrix) -> dict[str, np.ndarray]:
    """Return a sparse matrix as plain arrays, for saving."""
    return {"data": cosine.data, "indices": cosine.indices, "indptr": cosine.indptr}


def cosine_from(of: Mapping[str, np.ndarray]) -> sparse.csr_matrix:
    """Build the matrix from `arrays_of`."""
    items = len(of["indptr"]) - 1
    return sparse.csr_matrix((of["data"], of["indices"], of["indptr"]), shape=(items, items))


@dataclass(frozen=True)
class Cooccurrence:
    """Cosines and counts of items."""

    cosine: sparse.csr_matrix
    """[I, I] float32."""
    count: np.ndarray
    """[I] float64: liked training events."""
    history: int
    """Newest liked events to use."""

    def recommend(self, requests: Requests, k: int) -> Ranked:
        """Recommend the items that co-occur with each user's liked items."""
        tie = TIE * self.count / (1 + self.count.max(initial=0))
        return rank_all(lambda part: self._scores(part) + tie, requests, k)

    def _scores(self, requests: Requests) -> np.ndarray:
        """[B, I]."""
        liked = requests.liked()
        newest = liked.newest(self.history)
        row, _ = np.nonzero(newest >= 0)
        places = liked.past.item[newest[newest >= 0]]
        had = sparse.csr_matrix((np.ones(len(row)), (row, places)), shape=(len(requests), len(self.count)))
        return sparse.csr_matrix(had @ self.cosine).toarray()

    def state(self) -> State:
        """Return cosines and counts."""
        return State(arrays_of(self.cosine) | {"count": self.count}, {})


def fit(context: Context, options: CooccurrenceOptions) -> Cooccurrence:
    """Count who liked what."""
    items = len(context.items)
    return Cooccurrence(cosine_of_items(context.log, items), liked_events(context.log, items), options.history)


def load(state: State, options: CooccurrenceOptions) -> Cooccurrence:
    """Restore a saved model."""
    return Cooccurrence(cosine_from(state.arrays), state.arrays["count"], options.history)


COOCCURRENCE = Recommender(
    "cooccurrence", "what the same people like as what the user liked", CooccurrenceOptions, fit, load
)
