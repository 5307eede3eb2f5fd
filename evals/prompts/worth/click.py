"""Click: what a text adds to a click model on the validation rows that the sample covers.

A fixed model without text (backbone.py) and, on top of its logits, a logistic regression (head.py) on the text's
columns, trained on the training rows of the sampled items or users:

Items:     the five columns of the adapter `similarity` (the target's text against those of the history), and the
           16 principal components of the item's vector.
Users:     the likeness of the user's text to the item's description, and the 16 components of the user's vector; rows
           about the 300 items with most training events.
Figures:   AUC and GAUC on the covered validation rows; `base` is the fixed model alone.
Components are those of all versions and facts together, so that swapping versions leaves them as they are.
Interval: resampled users; chance by swaps, with the head fitted again (swaps.py).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ctr.adapters.similarity import TEMPERATURE
from evals.intervals import effective_users, resampled_metrics
from evals.metrics import auc, gauc, user_aucs
from evals.prompts.worth.ground import Ground
from evals.prompts.worth.head import head_logits
from evals.prompts.worth.judge import Judge, Named, draws_of, not_judged
from evals.prompts.worth.pool import Encode, Pool
from evals.prompts.worth.retrieval import described_items
from evals.words import LEAST_USERS
from feature_store.vectors import as_of_rows

ABOUT = {
    "auc": "AUC of a click model that reads the text, on the validation rows of the sample.",
    "gauc": "The same within each user (GAUC), on the users who have rows of both labels.",
}
COMPONENTS = 16
"""Principal components of a text's vector."""
LEAST_TRAINING = 200
"""Training rows of the sample, at least."""
LEAST_JUDGED = 50
"""Validation rows of the sample, at least."""
Columns = Callable[[np.ndarray], np.ndarray]
"""[n] which vector of the pool each row uses -> [C, k] columns of the covered samples."""


@dataclass(frozen=True)
class Clicks:
    """C covered samples, in their order."""

    trains: np.ndarray
    """[C] bool."""
    label: np.ndarray
    """[C]."""
    offset: np.ndarray
    """[C] logits of the fixed model."""
    user: np.ndarray
    """[J] codes 0 to U - 1 of the users of the judged samples."""


def judge_clicks(ground: Ground, pool: Pool, encode: Encode, seed: int) -> Judge:
    """Make the judge.

    Args:
        ground: The events.
        pool: The texts.
        encode: Turns descriptions of items into vectors, where the rows are about users.
        seed: Seed of the interval.
    """
    if ground.entity not in ("item", "user"):
        return not_judged(ABOUT, f"no row that is judged is about an entity of kind {ground.entity}")
    rows = np.flatnonzero(ground.covered)
    if why := too_few(ground, rows):
        return not_judged(ABOUT, why)
    if ground.entity == "item":
        columns = item_columns(ground, pool, rows)
    else:
        columns = user_columns(ground, pool, rows, described_items(ground, encode))
    trains = ground.is_part("train")[rows]
    user = np.unique(ground.samples.user[rows[~trains]], return_inverse=True)[1]
    clicks = Clicks(trains, ground.samples.label[rows], ground.base[rows], user)
    return _judge(clicks, columns, seed)


def too_few(ground: Ground, rows: np.ndarray) -> str:
    """Say why the covered samples give no number; empty if they do."""
    trains, label = ground.is_part("train")[rows], ground.samples.label[rows]
    judged, users = label[~trains], len(np.unique(ground.samples.user[rows[~trains]]))
    if trains.sum() < LEAST_TRAINING or len(judged) < LEAST_JUDGED or users < LEAST_USERS:
        needed = f"{LEAST_TRAINING}, {LEAST_JUDGED} and {LEAST_USERS} are needed"
        found = f"{trains.sum()} training rows and {len(judged)} validation rows of {users} users"
        return f"the sample covers {found}; {needed}"
    one = min(judged.min(), label[trains].min()) == max(judged.max(), label[trains].max())
    return "the rows that the sample covers have one label only" if one else ""


def _judge(clicks: Clicks, columns: Columns, seed: int) -> Judge:
    label = clicks.label[~clicks.trains]
    count = np.bincount(clicks.user)
    draws, effective = draws_of(count, seed)
    both = ~np.isnan(user_aucs(label, label, clicks.user, len(count)))

    def logits(chosen: np.ndarray) -> np.ndarray:
        return head_logits(columns(chosen), clicks.offset, clicks.label, clicks.trains)

    def score(chosen: np.ndarray) -> np.ndarray:
        scored = logits(chosen)
        return np.array([auc(label, scored), gauc(label, scored, clicks.user)])

    def replicates(chosen: np.ndarray) -> np.ndarray:
        probability = 1 / (1 + np.exp(-logits(chosen)))
        found = resampled_metrics(label, probability, clicks.user, draws)
        return np.stack([found["auc"], found["gauc"]])

    few = "" if both.sum() >= LEAST_USERS else f"{both.sum()} users have rows of both labels; {LEAST_USERS} are needed"
    within = effective_users(count[both]) if both.any() else 0.0
    named = (
        Named("auc", ABOUT["auc"], len(label), effective),
        Named("gauc", ABOUT["gauc"], int(count[both].sum()), within, few),
    )
    fixed = clicks.offset[~clicks.trains]
    return Judge(named, score, replicates, np.array([auc(label, fixed), gauc(label, fixed, clicks.user)]))


def item_columns(ground: Ground, pool: Pool, rows: np.ndarray) -> Columns:
    """Compute similarity to the history and components of the target: [C] samples -> columns."""
    samples, target = ground.samples, ground.seen[rows]
    place, slot = np.nonzero(samples.history[rows] >= 0)
    event = samples.history[rows[place], slot]
    known = np.flatnonzero(ground.owner >= 0)
    time = samples.time[rows[place]]
    found = as_of_rows(samples.item[event], time, ground.owner[known], ground.as_of[known])
    kept = found >= 0
    place, event, past = place[kept], event[kept], known[found[kept]]
    values = np.stack([samples.rating[event] - samples.user_mean[rows[place]], samples.surprise[event]])
    liked, parts = samples.label[event] == 1, components(pool)

    def columns(chosen: np.ndarray) -> np.ndarray:
        cosine = pool.gram[chosen[target[place]], chosen[past]]
        return np.column_stack([*similarities(cosine, values, liked, place, len(rows)), parts[chosen[target]]])

    return columns


def similarities(
    cosine: np.ndarray, values: np.ndarray, liked: np.ndarray, place: np.ndarray, size: int
) -> list[np.ndarray]:
    """Compute the columns of `ctr.adapters.similarity` from pairs of a sample and an event of its history.

    Args:
        cosine: [P] of the target and the event's item.
        values: [2, P] the event's rating minus the user's mean, and its surprise.
        liked: [P] bool.
        place: [P] int64: the sample.
        size: Number of samples.

    Returns:
        Five columns [size]; 0 where the history holds no item of the sample.
    """

    def total(of: np.ndarray) -> np.ndarray:
        return np.bincount(place, of, size)

    weight = np.exp(cosine / TEMPERATURE)
    there = np.maximum(total(weight), 1e-12)
    highest = np.full(size, -np.inf)
    np.maximum.at(highest, place, cosine)
    means = [total(cosine * of) / np.maximum(total(of.astype(np.float64)), 1) for of in (liked, ~liked)]
    rated = [total(weight * of) / there for of in values]
    return [*rated, np.where(np.isinf(highest), 0, highest), *means]


def user_columns(ground: Ground, pool: Pool, rows: np.ndarray, described: np.ndarray) -> Columns:
    """Compute likeness of user and item, and components of the user: [C] samples -> columns."""
    text, parts = ground.seen[rows], components(pool)
    of_item = np.searchsorted(ground.common, ground.samples.item[rows])
    likeness = pool.vectors @ described.T  # [S n, I]

    def columns(chosen: np.ndarray) -> np.ndarray:
        return np.column_stack([likeness[chosen[text], of_item], parts[chosen[text]]])

    return columns


def components(pool: Pool) -> np.ndarray:
    """Return the first principal components of all vectors of the pool: [S n, 16], or fewer."""
    value, vector = np.linalg.eigh(pool.gram)
    kept = np.argsort(-value, kind="stable")[:COMPONENTS]
    return vector[:, kept] * np.sqrt(np.maximum(value[kept], 0))
