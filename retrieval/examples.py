"""Choose examples for each sample from a pool, half of them liked and half not.

Paper:     Sun et al. 2024, "Large Language Models Enhanced Collaborative Filtering" (LLM-CF, arXiv 2403.17688).
Formula:   similarity(a, b) = (<h_a, h_b> + <i_a, i_b>) / 2;   i = vector of the item, h = mean of the vectors of the
           newest 12 strictly earlier events, both of length one (zero where there is none);
           chosen: the K / 2 nearest liked and the K / 2 nearest disliked examples that the guards allow.
Guards:    an example is strictly earlier than the sample. The published rule requires this only of the sample's own
           user; then a sample sees what others did after it. Both exclude the sample itself.
Relations: `ctr/examples.py` searches for all samples of a training run at once, `example_search.py` for a single one.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

RECENT = 12
"""Newest events of a history whose mean is its vector."""
BLOCK = 2_048
"""Samples compared with the whole pool at a time; 38 MB for 12 events of 384 numbers each."""
SEED = 0
"""Seed of examples drawn at random."""


@dataclass(frozen=True)
class ExampleRule:
    """How examples are chosen."""

    count: int = 4
    """Examples shown to each sample, K, even: half liked, half not."""
    strict: bool = True
    """Allow only examples strictly earlier than the sample; if False, require this only of the sample's own user."""
    by_chance: bool = False
    """Draw examples at random, under the same guards, instead of by similarity: a control."""


STRICT = ExampleRule()
"""The default rule."""


@dataclass(frozen=True)
class Encodings:
    """Vectors by which samples are compared: the item's, and the mean of the history's."""

    table: Tensor
    """[V + 1, d]: vectors of items, of length one; the last one is zeros, for unknown items."""
    item: np.ndarray
    """[N] int64: each sample's item in the table."""
    history: np.ndarray
    """[N, H] int64: the same for the newest events of its history, 12 at most."""

    def of(self, rows: np.ndarray) -> Tensor:
        """Return vectors whose inner products are similarities: [B] samples -> [B, 2d]."""
        item, past = torch.from_numpy(self.item[rows]), torch.from_numpy(self.history[rows])
        total = functional.embedding_bag(past, self.table, mode="sum")  # [B, d], along the mean
        return torch.cat([functional.normalize(total, dim=1), self.table[item]], dim=1) * 0.5**0.5


def encodings(vectors: np.ndarray, item: np.ndarray, history: np.ndarray) -> Encodings:
    """Normalise vectors to length one; unknown items get zeros.

    Args:
        vectors: [V, d] float32, of items.
        item: [N] int64: index of the vector of each sample's item, as known at the sample's time; -1 = none.
        history: [N, H] int64: the same for the newest events of its history; -1 = none.
    """
    unit = functional.normalize(torch.from_numpy(vectors), dim=1)
    table = torch.cat([unit, torch.zeros(1, unit.shape[1])])
    return Encodings(table, np.where(item >= 0, item, len(unit)), np.where(history >= 0, history, len(unit)))


@dataclass(frozen=True)
class Situations:
    """The data of N samples that retrieval uses; no label."""

    user: np.ndarray
    """[N] int64: codes of the users, -1 for one without events."""
    time: np.ndarray
    """[N] datetime64[us]."""
    encoded: Encodings
    """The vectors."""

    def at(self, rows: np.ndarray) -> "Situations":
        """Return a subset: [M] samples."""
        encoded = replace(self.encoded, item=self.encoded.item[rows], history=self.encoded.history[rows])
        return Situations(self.user[rows], self.time[rows], encoded)


@dataclass(frozen=True)
class ExamplePool:
    """The M available examples."""

    situations: Situations
    """Their data for comparison."""
    label: np.ndarray
    """[M] float32, 0 or 1."""
    seen_until: np.datetime64 | None = None
    """The newest event that the model of their texts or the encoder of their vectors was tuned on; None if neither was
    tuned on events."""


@dataclass(frozen=True)
class Retrieved:
    """The examples chosen for each of N samples."""

    chosen: np.ndarray
    """[N, K] int64: index into the pool, the nearest last; -1, at the front, where the guards left too few."""
    similarity: np.ndarray
    """[N, K] float32: similarity of sample and example, 0 where there is none."""


def allowed(pool: ExamplePool, asked: Situations, rows: np.ndarray, strict: bool) -> np.ndarray:
    """Return which examples the guards allow for each sample: [B] samples -> [B, M] bool."""
    earlier = pool.situations.time < asked.time[rows, None]
    seen = earlier if strict else earlier | (pool.situations.user != asked.user[rows, None])
    # A model tuned on events leaks them: samples before its newest event get no examples.
    return seen if pool.seen_until is None else seen & (pool.seen_until < asked.time[rows, None])


def retrieve(pool: ExamplePool, asked: Situations, rule: ExampleRule = STRICT) -> Retrieved:
    """Choose the examples of every sample by exact comparison with the whole pool.

    Args:
        pool: The examples.
        asked: The samples.
        rule: Number of examples, and guards.

    Returns:
        The examples of each sample. Of equally near ones, the first in the pool is taken.

    Raises:
        ValueError: The number of examples is odd.
    """
    if rule.count < 2 or rule.count % 2:
        raise ValueError(f"{rule.count} examples cannot be half liked and half not: use an even number")
    chosen = np.full((len(asked.time), rule.count), -1, dtype=np.int64)
    similarity = np.zeros(chosen.shape, dtype=np.float32)
    if len(pool.label) == 0:
        return Retrieved(chosen, similarity)
    of_pool = pool.situations.encoded.of(np.arange(len(pool.label))).T.contiguous()  # [2d, M]
    sides = [torch.from_numpy(np.flatnonzero(pool.label == label)) for label in (1, 0)]
    for rows in _blocks(len(chosen)):
        near = asked.encoded.of(rows) @ of_pool  # [B, M]
        rank = _chances(near, rows) if rule.by_chance else near
        rank = rank.masked_fill(torch.from_numpy(~allowed(pool, asked, rows, rule.strict)), -torch.inf)
        found = torch.cat([_highest(rank, side, rule.count // 2) for side in sides], dim=1)  # [B, K]
        order = _look_up(rank, found, -torch.inf).argsort(dim=1, stable=True)  # none, then the farthest
        found = found.gather(1, order)
        chosen[rows], similarity[rows] = found.numpy(), _look_up(near, found, 0).numpy()
    return Retrieved(chosen, similarity)


def _blocks(count: int) -> Iterator[np.ndarray]:
    for start in range(0, count, BLOCK):
        yield np.arange(start, min(start + BLOCK, count))


def _chances(near: Tensor, rows: np.ndarray) -> Tensor:
    drawn = torch.Generator().manual_seed(SEED + int(rows[0]))
    return torch.rand(near.shape, generator=drawn)


def _highest(rank: Tensor, side: Tensor, number: int) -> Tensor:
    """Return the highest of some columns, the first of equal ones: [B, M], [S] -> [B, number] columns, -1 = none."""
    left = rank[:, side].clone()  # [B, S]
    found = torch.full((len(rank), number), -1)
    for place in range(min(number, len(side))):
        best = left.argmax(dim=1, keepdim=True)  # torch returns the first of equal ones
        there = left.gather(1, best) > -torch.inf
        found[:, place] = torch.where(there, side[best], -1).squeeze(1)
        left.scatter_(1, best, -torch.inf)
    return found


def _look_up(values: Tensor, columns: Tensor, otherwise: float) -> Tensor:
    """Return the values at columns, or `otherwise` where the column is -1: [B, M], [B, K] -> [B, K]."""
    return torch.where(columns >= 0, values.gather(1, columns.clamp(min=0)), otherwise)
