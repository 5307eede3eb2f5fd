"""Popularity: the items with most liked training events, the same for everyone.

Formula:   score(i) = training events of item i with label 1
Consumes:  training events.
Relations: the control of every recommender; `cooccurrence` breaks ties with it.
Example:   knowflow eval recommend --model popularity
"""

from dataclasses import dataclass

import numpy as np

from recommenders.log import Log, Requests
from recommenders.protocol import Context, NoOptions, Ranked, Recommender, State
from recommenders.ranking import rank_all


def liked_events(log: Log, items: int) -> np.ndarray:
    """Count the events with label 1 of each item: [I] float64."""
    return np.bincount(log.item[log.label == 1], minlength=items).astype(np.float64)


@dataclass(frozen=True)
class Popular:
    """Counts of items."""

    count: np.ndarray
    """[I] float64."""

    def recommend(self, requests: Requests, k: int) -> Ranked:
        """Recommend the most popular items that each user has not had."""
        return rank_all(lambda part: np.tile(self.count, (len(part), 1)), requests, k)

    def state(self) -> State:
        """Return the counts."""
        return State({"count": self.count}, {})


def fit(context: Context, _options: NoOptions) -> Popular:
    """Count liked training events."""
    return Popular(liked_events(context.log, len(context.items)))


POPULARITY = Recommender(
    "popularity", "the most popular items", NoOptions, fit, lambda state, _options: Popular(state.arrays["count"])
)
