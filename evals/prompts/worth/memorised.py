"""Memorised ratings: numbers in answers that follow the items' mean ratings closely.

A model that was trained on a public log of ratings may repeat it. Such an answer is worth much on that log and nothing
on yours, or on items that are newer than the model.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from evals.prompts.worth.ground import Ground
from evals.trial import Figure, Measured, Trial, TrialAnswer
from evals.words import LEAST_USERS

NAME = "memorised"
ABOUT = (
    "The largest correlation of a number in the answers with the item's mean training rating: near 1, the model may "
    "repeat ratings that it has read."
)
BOUND = 0.7
"""Correlation above which a sentence warns."""
LEAST_RATINGS = 5
"""Training ratings of an item that is compared."""


def measure_memorised(ground: Ground, trial: Trial) -> Measured:
    """Compare the numbers of each version's answers with mean ratings."""
    figures = {version: _figure(ground, trial.answers[version]) for version in trial.versions}
    return Measured(NAME, ABOUT, "worth", "neither", figures)


def _figure(ground: Ground, answers: Sequence[TrialAnswer]) -> Figure:
    if ground.entity != "item":
        return Figure(None, why=f"entities of kind {ground.entity} have no mean rating")
    mean = mean_ratings(ground)
    best = Figure(None, why="no number in the answers is there for enough rated items")
    numbers = [numbers_in(answer.fields) for answer in answers]
    for field in sorted({name for one in numbers for name in one}):
        value = np.array([one.get(field, np.nan) for one in numbers], dtype=np.float64)
        known = ~np.isnan(value) & ~np.isnan(mean)
        if known.sum() < LEAST_USERS or value[known].std() == 0 or mean[known].std() == 0:
            continue
        found = float(np.corrcoef(value[known], mean[known])[0, 1])
        if best.mean is None or abs(found) > abs(best.mean):
            best = Figure(found, rows=int(known.sum()), why=field)
    return best


def numbers_in(fields: Any) -> dict[str, float]:
    """Return the numbers of a parsed answer by name.

    Example:
        >>> numbers_in({"acclaim": 4.5, "cast": ["A"], "cult": True})
        {'acclaim': 4.5}
        >>> numbers_in("a text")
        {}
    """
    if not isinstance(fields, Mapping):
        return {}
    return {
        name: float(value)
        for name, value in fields.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }


def mean_ratings(ground: Ground) -> np.ndarray:
    """Return the mean training rating of each row's item, NaN with fewer than 5: [n]."""
    samples, items = ground.samples, len(ground.samples.item_ids)
    used = ground.is_part("train") & ground.rated
    count = np.bincount(samples.item[used], minlength=items)
    mean = np.bincount(samples.item[used], samples.rating[used], items) / np.maximum(count, 1)
    enough = (ground.owner >= 0) & (count[ground.owner] >= LEAST_RATINGS)
    return np.where(enough, mean[ground.owner], np.nan)
