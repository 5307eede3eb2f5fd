"""The evaluation of lists of k items from any model: every measure, by segment, with intervals, against controls.

Figure:    the mean over users of the mean over a user's queries, so that very active users do not dominate it.
Seeds:     a query's value is its mean over a model's seeds; the interval does not contain the spread between seeds.
Intervals: draw users (`evals/by_user.py`); all models share the draws, and a gain has the interval of the difference.
Segments:  a segment keeps its wanted items, and the queries that want one of them; a query that wants an item of the
           head and one of the tail is in both, each time with the respective part.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from evals.by_user import REPLICATES, Parts, intervals
from evals.lists import Lists, ranks_in_lists
from evals.measures.protocol import Measure

ALL = "all"
HEAD_SHARE = 0.5
"""The head: the most popular items that hold this share of the training events."""
COLD_USER = 5
"""A user with fewer training events is cold."""


@dataclass(frozen=True)
class Asked:
    """Q queries and the T items that they wanted."""

    row: np.ndarray
    """[T] int64: the query of each wanted item; every query wants at least one, and none twice."""
    item: np.ndarray
    """[T] int64: its index."""
    user: np.ndarray
    """[Q] int64: code of the user who asked, from 0."""
    popularity: np.ndarray
    """[N] float64: training events of every item."""

    def where(self, chosen: np.ndarray) -> tuple["Asked", np.ndarray]:
        """Keep some of the wanted items, [T] bool; return the queries that want one, and their indices."""
        kept, row = np.unique(self.row[chosen], return_inverse=True)
        return Asked(row, self.item[chosen], self.user[kept], self.popularity), kept

    def parts(self) -> Parts:
        """Return one part per query; the weights of a user's parts sum to one."""
        weight = 1 / np.bincount(self.user)[self.user] if len(self.user) else np.zeros(0)
        return Parts(np.arange(len(self.user)), self.user, weight)


def item_and_user_segments(asked: Asked, user_events: np.ndarray) -> dict[str, np.ndarray]:
    """Divide wanted items into segments by item popularity and user activity.

    Args:
        asked: The queries.
        user_events: [U] training events of every user.

    Returns:
        Segment -> [T] bool: all, head and tail items, new items (without a training event), warm and cold users.
    """
    popularity = asked.popularity
    order = np.argsort(-popularity, kind="stable")
    before = np.cumsum(popularity[order]) - popularity[order]
    head = np.zeros(len(popularity), dtype=bool)
    head[order] = before < HEAD_SHARE * popularity.sum()
    of_head, cold = head[asked.item], (user_events < COLD_USER)[asked.user][asked.row]
    new = popularity[asked.item] == 0
    every = np.ones(len(asked.item), dtype=bool)
    return {
        ALL: every,
        "head items": of_head,
        "tail items": ~of_head & ~new,
        "new items": new,
        "warm users": ~cold,
        "cold users": cold,
    }


def evaluate(
    rankings: Mapping[str, Sequence[np.ndarray]],
    asked: Asked,
    segments: Mapping[str, np.ndarray],
    measures: Sequence[Measure],
    at: Sequence[int],
    controls: Sequence[str] = (),
    replicates: int = REPLICATES,
    seed: int = 0,
) -> dict[str, Any]:
    """Measure the lists of all models.

    Args:
        rankings: Model -> for each of its seeds [Q, m] item indices, best first, -1 after the end of a shorter list;
            m >= max(at).
        asked: The queries.
        segments: Name -> [T] bool.
        measures: The measures.
        at: Lengths of the list.
        controls: Models to compare every other one with.
        replicates: Resamples of the users.
        seed: Seed of the draws.

    Returns:
        Plain JSON: `segments` (name -> queries, wanted, users) and `models`: model -> segment -> `measure@k` ->
        the output of `by_user.intervals`, and `gains`: control -> the same for the difference. None where undefined.
    """
    draws = asked.parts().draws(replicates, seed)
    found: dict[str, dict[str, Any]] = {name: {} for name in rankings}
    sizes: dict[str, Any] = {}
    for segment, chosen in segments.items():
        part, kept = asked.where(chosen)
        sizes[segment] = {"queries": len(kept), "wanted": len(part.row), "users": len(np.unique(part.user))}
        of_models = {name: [lists_of(one[kept], part) for one in seeds] for name, seeds in rankings.items()}
        for figure, measure, k in _figures(measures, at):
            figures = _measured(of_models, part.parts(), draws, measure, k, controls)
            for name, one in figures.items():
                found[name].setdefault(segment, {})[figure] = one
    return {"segments": sizes, "models": found}


def lists_of(ranking: np.ndarray, asked: Asked) -> Lists:
    """Find the wanted items in the lists of one model: [Q, m]."""
    return Lists(ranking, asked.row, ranks_in_lists(ranking, asked.row, asked.item), asked.popularity)


def _figures(measures: Sequence[Measure], at: Sequence[int]) -> Iterator[tuple[str, Measure, int]]:
    return ((f"{measure.name}@{k}", measure, k) for measure in measures for k in at)


def _measured(
    of_models: Mapping[str, Sequence[Lists]],
    parts: Parts,
    draws: np.ndarray,
    measure: Measure,
    k: int,
    controls: Sequence[str],
) -> dict[str, dict[str, Any]]:
    """Compute one measure at one length, of all models in one segment."""
    values = {
        name: np.mean(np.array([measure.value(one, k) for one in seeds], dtype=np.float64), axis=0)
        for name, seeds in of_models.items()
    }
    pairs = [(name, control) for name in values for control in controls if control in values and name != control]
    columns = [*values.values(), *(values[name] - values[control] for name, control in pairs)]
    if columns[0].ndim:
        found = intervals(np.stack(columns, axis=1), parts, draws)
    else:
        found = [_of_all(float(one), parts) for one in columns]
    out = {name: {**one, "gains": {}} for name, one in zip(values, found, strict=False)}
    for (name, control), gain in zip(pairs, found[len(values) :], strict=True):
        out[name]["gains"][control] = gain
    return out


def _of_all(value: float, parts: Parts) -> dict[str, Any]:
    """Return a figure of all lists together, which has no interval."""
    users = len(np.unique(parts.user))
    mean = None if np.isnan(value) or not users else value
    return {"mean": mean, "low": None, "high": None, "users": users, "largest_user": None}
