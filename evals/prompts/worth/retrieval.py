"""Retrieval: whether texts rank what a user will like above what the user never met.

Items:     score = mean vector of the sampled items that the user liked in training, times the vector of an item;
           ranked: the sampled items that the user has no event with; wanted: those liked in validation.
Users:     score = the user's vector times the vector of an item's description; ranked: the items of the catalogue with
           most training events that the user has no event with (at most 300); wanted: those of them liked in
           validation, after the text.
Figure:    mean over users of the share of unmet items below a wanted one, ties half: 0.5 by chance.
Interval: resampled users; chance by swaps (swaps.py).
"""

from collections.abc import Callable

import numpy as np

from evals.prompts.worth.ground import Ground
from evals.prompts.worth.judge import Judge, Named, draws_of, not_judged
from evals.prompts.worth.pool import Encode, Pool, unit
from evals.words import LEAST_USERS

ABOUT = {
    "retrieval": "Chance that an item which a user liked in validation is ranked above one that the user never met, by "
    "likeness to what the user liked before; the mean over users."
}


def judge_retrieval(ground: Ground, pool: Pool, encode: Encode, seed: int) -> Judge:
    """Make the judge.

    Args:
        ground: The events.
        pool: The texts.
        encode: Turns descriptions of items into vectors, where the rows are about users.
        seed: Seed of the interval.
    """
    if ground.entity == "item":
        return _of_items(ground, pool, seed)
    if ground.entity == "user":
        return _of_users(ground, pool, encode, seed)
    return not_judged(ABOUT, f"a user is not compared with texts about entities of kind {ground.entity}")


def _of_items(ground: Ground, pool: Pool, seed: int) -> Judge:
    samples, rows = ground.samples, len(ground.as_of)
    there = (ground.seen >= 0) & samples.happened
    met, liked, wanted = (np.zeros((len(samples.user_ids), rows)) for _ in range(3))
    met[samples.user[there], ground.seen[there]] = 1
    likes = there & (samples.label == 1)
    for into, part in ((liked, "train"), (wanted, "validation")):
        used = likes & ground.is_part(part)
        into[samples.user[used], ground.seen[used]] = 1
    comparable = (liked.max(axis=1) == 1) & (met.min(axis=1) == 0)
    wanted *= comparable[:, None]
    profile = liked / np.maximum(liked.sum(axis=1, keepdims=True), 1)
    return _judge(lambda chosen: profile @ pool.kernel(chosen), wanted, met == 0, seed)


def _of_users(ground: Ground, pool: Pool, encode: Encode, seed: int) -> Judge:
    samples, rows = ground.samples, len(ground.as_of)
    described = described_items(ground, encode)
    place = np.full(len(samples.item_ids), -1)
    place[ground.common] = np.arange(len(described))
    at = place[samples.item]
    happened = samples.happened & (at >= 0)
    met = np.zeros((len(samples.user_ids), len(described)))
    met[samples.user[happened], at[happened]] = 1
    wanted = np.zeros((rows, len(described)))
    used = happened & ground.is_part("validation") & (ground.seen >= 0) & (samples.label == 1)
    wanted[ground.seen[used], at[used]] = 1
    unmet = (met[np.maximum(ground.owner, 0)] == 0) & (ground.owner >= 0)[:, None]
    return _judge(lambda chosen: pool.vectors[chosen] @ described.T, wanted * unmet.any(axis=1)[:, None], unmet, seed)


def described_items(ground: Ground, encode: Encode) -> np.ndarray:
    """Encode what the catalogue says of the common items: [k, d] of length one."""
    vectors = np.asarray(encode([ground.described[one] for one in ground.common]), dtype=np.float64)
    return unit(vectors - vectors.mean(axis=0))


def _judge(scores: Callable[[np.ndarray], np.ndarray], wanted: np.ndarray, unmet: np.ndarray, seed: int) -> Judge:
    """Judge scores of users (or of their rows) and items by the wanted ones: [U, I] each."""
    user, item = np.nonzero(wanted)
    judged, of = np.unique(user, return_inverse=True)
    if len(judged) < LEAST_USERS:
        why = f"{len(judged)} users liked a sampled item in validation and can be compared, of {LEAST_USERS} needed"
        return not_judged(ABOUT, why)
    draws, effective = draws_of(np.ones(len(judged)), seed)
    count, others = np.bincount(of), unmet[user]

    def by_user(chosen: np.ndarray) -> np.ndarray:
        table = scores(chosen)
        return np.bincount(of, _share_below(table[user], table[user, item], others)) / count

    named = Named("retrieval", ABOUT["retrieval"], len(judged), effective)
    return Judge(
        (named,),
        lambda chosen: by_user(chosen).mean(keepdims=True),
        lambda chosen: (by_user(chosen) @ draws / draws.sum(axis=0))[None],
    )


def _share_below(scores: np.ndarray, wanted: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return the share of the others that are below: [P, I], [P], [P, I] bool -> [P]."""
    right = (scores < wanted[:, None]) + 0.5 * (scores == wanted[:, None])
    return (right * others).sum(axis=1) / others.sum(axis=1)
