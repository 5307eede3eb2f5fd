"""Probe: what a text says of an unseen item's or user's ratings, by a ridge regression over all others.

Items:     y = mean residual (ground.py) of the item's training ratings after `as_of`, for items with at least 3 of
           them, weighted by n / (n + 5);   kernel: inner products of the texts' vectors.
Users:     y = rating - user - item of validation events after `as_of` (item = its shrunk mean training residual): what
           this user likes more than others do;   kernel: (texts of both users) x (descriptions of both items), the
           inner product of outer products: a regression on every pair of a text's and an item's dimension.
Figure:    weighted correlation of y with the predictions made without any event of the same item or user.
One penalty serves all versions and facts; it is chosen on all their texts together, so that swapping versions leaves it
as it is. Interval: resampled items or users, with the predictions as they are; chance by swaps (swaps.py).
"""

from dataclasses import dataclass

import numpy as np

from evals.prompts.worth.ground import SHRINK, Ground
from evals.prompts.worth.judge import Judge, Named, draws_of, not_judged
from evals.prompts.worth.pool import Encode, Pool, unit
from evals.prompts.worth.ridge import choose_strength, left_out, weighted_correlation
from evals.words import LEAST_USERS

ABOUT = {
    "probe": "Correlation of what the text tells about an unseen entity's ratings (ridge regression over all others) "
    "with its ratings without their users."
}
LEAST_EVENTS = 3
"""Training ratings of an item that has a target."""
MOST_EVENTS = 300
"""Validation events of a probe of users: every swap inverts a matrix of this size."""


@dataclass(frozen=True)
class Observed:
    """m observations."""

    row: np.ndarray
    """[m] int64: row of the trial."""
    target: np.ndarray
    """[m] float64, weighted mean 0."""
    weight: np.ndarray
    """[m] float64."""
    factor: np.ndarray | None = None
    """[m, m]: what the kernel of the texts is multiplied with; None = nothing."""


def judge_probe(ground: Ground, pool: Pool, encode: Encode, seed: int) -> Judge:
    """Make the judge.

    Args:
        ground: The events.
        pool: The texts.
        encode: Turns texts into vectors; used for descriptions of items where the rows are about users.
        seed: Seed of the interval.
    """
    if ground.entity not in ("item", "user"):
        return not_judged(ABOUT, f"there is no probe for texts about an entity of kind {ground.entity}")
    seen = observed_items(ground) if ground.entity == "item" else observed_users(ground, encode)
    units = np.unique(ground.group[seen.row], return_inverse=True)[1]
    number = int(units.max(initial=-1)) + 1
    if number < LEAST_USERS:
        needs = f"{LEAST_EVENTS} training ratings" if ground.entity == "item" else "validation events"
        return not_judged(ABOUT, f"{number} {ground.entity}s of the sample have {needs} after their texts")
    return _judge(ground, pool, seen, units, seed)


def _judge(ground: Ground, pool: Pool, seen: Observed, units: np.ndarray, seed: int) -> Judge:
    every = np.concatenate([pool.of(name)[seen.row] for name in pool.names])
    times = len(pool.names)
    together = pool.gram[np.ix_(every, every)]
    if seen.factor is not None:
        together = together * np.tile(seen.factor, (times, times))
    strength = choose_strength(
        together, np.tile(seen.target, times), np.tile(seen.weight, times) / times, np.tile(units, times)
    )
    draws, effective = draws_of(np.bincount(units, seen.weight), seed)
    resampled = draws[units] * seen.weight[:, None]  # [m, R]

    def predicted(chosen: np.ndarray) -> np.ndarray:
        kernel = pool.kernel(chosen)[np.ix_(seen.row, seen.row)]
        kernel = kernel if seen.factor is None else kernel * seen.factor
        return left_out(kernel, seen.target, seen.weight, units, strength)

    def score(chosen: np.ndarray) -> np.ndarray:
        return weighted_correlation(predicted(chosen), seen.target, seen.weight[:, None])

    def replicates(chosen: np.ndarray) -> np.ndarray:
        return weighted_correlation(predicted(chosen), seen.target, resampled)[None]

    named = Named("probe", ABOUT["probe"], len(draws), effective)
    return Judge((named,), score, replicates)


def observed_items(ground: Ground) -> Observed:
    """Average the training residuals of each row's item, of events that may use the row."""
    used = ground.is_part("train") & ground.rated & (ground.seen >= 0)
    rows = len(ground.as_of)
    count = np.bincount(ground.seen[used], minlength=rows)
    mean = np.bincount(ground.seen[used], ground.residual[used], rows) / np.maximum(count, 1)
    row = np.flatnonzero(count >= LEAST_EVENTS)
    weight = count[row] / (count[row] + SHRINK)
    return Observed(row, _centred(mean[row], weight), weight)


def observed_users(ground: Ground, encode: Encode) -> Observed:
    """Take the first validation events of each row, as many of each, without what the user and the item usually get."""
    samples, train = ground.samples, ground.is_part("train") & ground.rated
    used = np.flatnonzero(ground.is_part("validation") & ground.rated & (ground.seen >= 0))
    used = used[np.lexsort((used, samples.time[used], ground.seen[used]))]
    row = ground.seen[used]
    place = np.arange(len(row)) - np.searchsorted(row, row)
    used = used[place < max(MOST_EVENTS // max(len(np.unique(row)), 1), 1)][:MOST_EVENTS]
    items = len(samples.item_ids)
    count = np.bincount(samples.item[train], minlength=items)
    usual = np.bincount(samples.item[train], ground.residual[train], items) / (count + SHRINK)
    target = ground.residual[used] - usual[samples.item[used]]
    met, place = np.unique(samples.item[used], return_inverse=True)
    described = np.asarray(encode([ground.described[item] for item in met]), dtype=np.float64) if len(met) else None
    factor = np.zeros((0, 0)) if described is None else _products(described)[np.ix_(place, place)]
    weight = np.ones(len(used))
    return Observed(ground.seen[used], _centred(target, weight), weight, factor)


def _products(vectors: np.ndarray) -> np.ndarray:
    centred = unit(vectors - vectors.mean(axis=0))
    return centred @ centred.T


def _centred(values: np.ndarray, weight: np.ndarray) -> np.ndarray:
    return values - float(np.average(values, weights=weight)) if len(values) else values
