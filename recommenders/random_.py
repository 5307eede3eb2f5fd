"""Random: items drawn uniformly from the catalogue for every user and moment.

Formula:   score(i | u, t) = a random number seeded by (seed, u, t)
Consumes:  nothing.
Relations: the floor of every measure; its coverage and novelty are the highest possible.
Example:   knowflow eval recommend --model random
"""

import hashlib
from dataclasses import dataclass

import numpy as np

from recommenders.log import Requests
from recommenders.protocol import Context, NoOptions, Ranked, Recommender, State
from recommenders.ranking import rank_all


@dataclass(frozen=True)
class Random:
    """Seeded random draws."""

    items: int
    """Items in the catalogue."""
    seed: int
    """Random seed."""

    def recommend(self, requests: Requests, k: int) -> Ranked:
        """Recommend random items, always the same for the same user and moment."""
        return rank_all(self._scores, requests, k)

    def _scores(self, requests: Requests) -> np.ndarray:
        """[B, I]."""
        return np.stack([self._draw(*one) for one in zip(requests.user, requests.time, strict=True)])

    def _draw(self, user: str, time: np.datetime64) -> np.ndarray:
        # Hashed, not numbered: a request's list does not depend on the other requests.
        key = hashlib.sha256(f"{self.seed}/{time.astype(np.int64)}/{user}".encode()).digest()
        return np.random.default_rng(int.from_bytes(key[:8])).random(self.items)

    def state(self) -> State:
        """Return the seed and the number of items."""
        return State({}, {"items": self.items, "seed": self.seed})


def fit(context: Context, _options: NoOptions) -> Random:
    """Record the number of items."""
    return Random(len(context.items), context.seed)


RANDOM = Recommender("random", "items drawn evenly", NoOptions, fit, lambda state, _options: Random(**state.facts))
