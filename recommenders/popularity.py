"""Popularity: the items that most training events like, the same for everybody.

Formula:   score(i) = training events of item i with label 1
Consumes:  events that train.
Relations: the control of every recommender; `cooccurrence` breaks its ties by it.
Example:   knowflow eval recommend --model popularity
"""

from dataclasses import dataclass

import numpy as np

from recommenders.log import Log, Requests
from recommenders.protocol import Context, NoOptions, Ranked, Recommender, State
from recommenders.ranking import rank_all


def liked_events(log: Log, items: int) -> np.ndarray:
    """Events with label 1 of each item: [I] float64."""
    return np.bincount(log.item[log.label == 1], minlength=items).astype(np.float64)


@dataclass(frozen=True)
class Popular:
    """Counts of items."""

    count: np.ndarray
    """[I] float64."""

    def recommend(self, requests: Requests, k: int) -> Ranked:
        """Name the most popular items that each user has not had."""
        return rank_all(lambda part: np.tile(self.count, (len(part), 1)), requests, k)

    def state(self) -> State:
        """Give the counts."""
        return State({"count": self.count}, {})


def fit(context: Context, _options: NoOptions) -> Popular:
    """Count liked training events."""
    return Popular(liked_events(context.log, len(context.items)))


POPULARITY = Recommender(
    "popularity", "the most popular items", NoOptions, fit, lambda state, _options: Popular(state.arrays["count"])
)
