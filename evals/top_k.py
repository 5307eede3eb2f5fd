"""One evaluation of lists of k items, whoever makes them: every measure, by segment, with intervals, against controls.

Figure:    the mean over users of the mean over a user's queries, so that who asks most does not decide it alone.
Seeds:     a query's value is its mean over the seeds of a model, whose spread is not in the interval.
Intervals: draw users (`evals/by_user.py`); all models share the draws, and a gain is the interval of the difference.
Segments:  a segment keeps the wanted items it is about, and the queries that want one of them; a query that wants an
           item of the head and one of the tail is in both, each time with its own part.
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
"""The most popular items that hold this share of the training events are the head."""
COLD_USER = 5
"""A user with fewer training events is cold."""


@dataclass(frozen=True)
class Asked:
    """Q queries and the T items that they wanted."""

    row: np.ndarray
    """[T] int64: the query of each wanted item; every query wants one at least, none twice."""
    item: np.ndarray
    """[T] int64: its place."""
    user: np.ndarray
    """[Q] int64: code of the user who asked, from 0."""
    popularity: np.ndarray
    """[N] float64: training events of every item."""

    def where(self, chosen: np.ndarray) -> tuple["Asked", np.ndarray]:
        """Keep some of the wanted items, [T] bool, and the queries that want one: these, and which they are."""
        kept, row = np.unique(self.row[chosen], return_inverse=True)
        return Asked(row, self.item[chosen], self.user[kept], self.popularity), kept

    def parts(self) -> Parts:
        """One part a query; the parts of a user weigh one together."""
        weight = 1 / np.bincount(self.user)[self.user] if len(self.user) else np.zeros(0)
        return Parts(np.arange(len(self.user)), self.user, weight)


def item_and_user_segments(asked: Asked, user_events: np.ndarray) -> dict[str, np.ndarray]:
    """Part wanted items by what is known of them and of who asks.

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
        rankings: Model -> for each of its seeds [Q, m] places of items, the best first, -1 behind the end of a shorter
            list; m >= max(at).
        asked: The queries.
        segments: Name -> [T] bool.
        measures: The measures.
        at: Lengths of the list.
        controls: Models that every other one is compared with.
        replicates: Resamples of the users.
        seed: Decides the draws.

    Returns:
        Plain JSON: `segments` (name -> queries, wanted, users) and `models`: model -> segment -> `measure@k` -> what
        `by_user.intervals` gives, and `gains`: control -> the same of the difference. None where there is no value.
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
    """One measure at one length, of all models in one segment."""
    values = {
        name: np.mean(np.array([measure.value(one, k) for one in seeds], dtype=np.float64), axis=0)
        for name, seeds in of_models.items()
    }
    pairs = [(name, control) for name in values for control in controls if control in values and name != control]
    columns = [*values.values(), *(values[name] - values[control] for name, control in pairs)]
    if columns[0].ndim:
        told = intervals(np.stack(columns, axis=1), parts, draws)
    else:
        told = [_of_all(float(one), parts) for one in columns]
    out = {name: {**one, "gains": {}} for name, one in zip(values, told, strict=False)}
    for (name, control), gain in zip(pairs, told[len(values) :], strict=True):
        out[name]["gains"][control] = gain
    return out


def _of_all(value: float, parts: Parts) -> dict[str, Any]:
    """A figure of all lists together, which has no interval."""
    users = len(np.unique(parts.user))
    mean = None if np.isnan(value) or not users else value
    return {"mean": mean, "low": None, "high": None, "users": users, "largest_user": None}
