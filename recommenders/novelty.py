"""Novelty: for a user who likes two clusters of items, what is popular in the further cluster that a model proposes.

Paper:     Wang et al. 2024, "LLMs for User Interest Exploration in Large-scale Recommendation Systems"
           (arXiv 2405.16363), its serving: a lookup of two clusters, then only items of the next one.
Formula:   a, b = the clusters with most of the n newest liked events, ties to the newer; items of table[a, b]
           by their training events with label 1
Consumes:  the texts of interest_clusters and google_novelty in a release, known before the first request;
           one category field of the items; training events.
Relations: google_novelty makes the table. Its controls are tables of the same shape: `random` draws one of the other
           clusters for every pair, `liked` keeps the two. A user who liked no cluster, or whose pair has no answer,
           gets popular items (`popularity`).
Example:   knowflow eval recommend --model novelty --set novelty.table=random
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement
from typing import Literal

import numpy as np
from pydantic import Field

from base.frozen import Frozen
from llm_tasks.google_novelty import pair_id
from llm_tasks.interest_clusters import nearest, values_of
from recommenders.log import Requests
from recommenders.popularity import liked_events
from recommenders.protocol import Context, Ranked, Recommender, State
from recommenders.ranking import rank_all


class NoveltyOptions(Frozen):
    """Options of novelty."""

    table: Literal["answers", "random", "liked"] = "answers"
    """`answers` = the model's proposals; `random` = any other cluster, a control; `liked` = the two themselves."""
    field: str | None = None
    """The category field that the clusters were made from; by default the first one."""
    history: int = Field(default=50, ge=1)
    """Newest liked events that determine a user's clusters."""


@dataclass(frozen=True)
class Novelty:
    """The table of next clusters, and the clusters and popularity of items."""

    next: np.ndarray
    """[C, C, C] bool: the clusters to serve for a pair; none where there is no answer."""
    cluster: np.ndarray
    """[I] int64: the cluster of each item, -1 = none."""
    count: np.ndarray
    """[I] float64: liked training events."""
    history: int
    """Newest liked events to use."""

    def recommend(self, requests: Requests, k: int) -> Ranked:
        """Recommend popular items of the next cluster."""
        return rank_all(self._scores, requests, k)

    def _scores(self, requests: Requests) -> np.ndarray:
        """[B, I]."""
        pairs = liked_pairs(requests, self.cluster, len(self.next), self.history)
        served = np.where(pairs[:, :1] >= 0, self.next[pairs[:, 0], pairs[:, 1]], False)
        inside = np.where(self.cluster >= 0, served[:, self.cluster], False)
        anything = ~served.any(axis=1, keepdims=True)
        return np.where(inside | anything, self.count, -np.inf)

    def state(self) -> State:
        """Return table, clusters and counts."""
        arrays = {"next": self.next.astype(np.uint8), "cluster": self.cluster, "count": self.count}
        return State(arrays, {"history": self.history})


def liked_pairs(requests: Requests, cluster: np.ndarray, clusters: int, history: int) -> np.ndarray:
    """Return the two clusters that each user likes most.

    Args:
        requests: B requests.
        cluster: [I] the cluster of each item, -1 = none.
        clusters: Number of clusters.
        history: Newest liked events to use.

    Returns:
        [B, 2] int64; the same twice if only one is liked, -1 if none is.
    """
    liked = requests.liked()
    newest = liked.newest(history)
    row, column = np.nonzero(newest >= 0)
    of_event = cluster[liked.past.item[newest[row, column]]]
    row, column, of_event = (one[of_event >= 0] for one in (row, column, of_event))
    # Rank by count, ties by recency: the column is at most `history - 1`, so it weighs less than one event.
    weight, last = np.zeros((len(requests), clusters)), np.full((len(requests), clusters), -1.0)
    np.add.at(weight, (row, of_event), 1.0)
    np.maximum.at(last, (row, of_event), column)
    order = np.argsort(-(weight + last / history), axis=1, kind="stable")[:, :2]
    found = np.where(np.take_along_axis(weight, order, axis=1) > 0, order, -1)
    return np.where(found < 0, found[:, :1], found)


def table_of(kind: str, clusters: Sequence[str], answers: Mapping[str, str], seed: int) -> np.ndarray:
    """Build the symmetric table of next clusters.

    Args:
        kind: Kind of table, see `NoveltyOptions.table`.
        clusters: C ids.
        answers: Id of a pair -> id of the next cluster.
        seed: Random seed.

    Returns:
        [C, C, C] bool.
    """
    place, chance = {one: number for number, one in enumerate(clusters)}, np.random.default_rng(seed)
    table = np.zeros((len(clusters),) * 3, dtype=bool)
    for one, two in combinations_with_replacement(range(len(clusters)), 2):
        others = [other for other in range(len(clusters)) if other not in (one, two)]
        answer = answers.get(pair_id(clusters[one], clusters[two]))
        proposed = {
            "answers": lambda found=answer: [place[found]] if found in place else [],
            "random": lambda rest=others: [int(chance.choice(rest))],
            "liked": lambda own=(one, two): list(own),
        }[kind]()
        table[one, two, proposed] = table[two, one, proposed] = True
    return table


def fit(context: Context, options: NoveltyOptions) -> Novelty:
    """Read clusters and table, assign items to clusters, and count liked events.

    Raises:
        NoRelease: No release has the texts.
    """
    clusters, answers = list(context.texts("interest_clusters")), context.texts("google_novelty")
    cluster = np.array(nearest(values_of(context.items, options.field), clusters), dtype=np.int64)
    table = table_of(options.table, clusters, answers, context.seed)
    return Novelty(table, cluster, liked_events(context.log, len(context.items)), options.history)


def load(state: State, _options: NoveltyOptions) -> Novelty:
    """Restore a saved model."""
    arrays = state.arrays
    return Novelty(arrays["next"].astype(bool), arrays["cluster"], arrays["count"], state.facts["history"])


NOVELTY = Recommender("novelty", "popular items of the cluster that a model proposes", NoveltyOptions, fit, load)
