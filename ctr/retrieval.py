"""Examples: which training samples with a reasoning each sample is shown, half of them liked and half not.

Paper:     Sun et al. 2024, "Large Language Models Enhanced Collaborative Filtering" (LLM-CF, arXiv 2403.17688).
Formula:   similarity(a, b) = (<h_a, h_b> + <i_a, i_b>) / 2;   i = vector of the item, h = mean of the vectors of the
           newest 12 strictly earlier events, both of length one (zero where there is none);
           shown: the K / 2 nearest liked and the K / 2 nearest disliked examples that the guards allow.
Guards:    an example is a training row; it is strictly earlier than the sample. The published rule asks that only of
           the sample's own user; then a sample learns what others did after it. Both rule out the sample itself.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import polars as pl
import torch
from torch import Tensor
from torch.nn import functional

from ctr.faults import UnfitExamples
from ctr.samples import PARTS, Samples, codes_of
from ctr.views import history_view, knowledge_view
from feature_store.knowledge import Knowledge
from sources.tables import event_of

RECENT = 12
"""Events of a history that its vector is the mean of, the newest ones."""
BLOCK = 2_048
"""Samples compared with the whole pool at a time: with 12 events of 384 numbers each, 38 MB."""
SEED = 0
"""Of examples drawn by chance."""


@dataclass(frozen=True)
class Choice:
    """How examples are chosen."""

    count: int = 4
    """Examples shown to each sample, K, even: half liked, half not."""
    strict: bool = True
    """Only examples strictly earlier than the sample; otherwise that is asked of the sample's own user alone."""
    by_chance: bool = False
    """Draw them at random, under the same guards, instead of by similarity: a control."""


STRICT = Choice()
"""What is done unless something else is said."""


@dataclass(frozen=True)
class Pool:
    """The examples there are, M of them."""

    sample: np.ndarray
    """[M] int64: index of the sample each is."""
    row: np.ndarray
    """[M] int64: its row of knowledge."""
    seen_until: np.datetime64 | None = None
    """The newest event that the encoder of their vectors was tuned on; None for one that knows none."""


@dataclass(frozen=True)
class Retrieved:
    """What each of N samples is shown."""

    chosen: np.ndarray
    """[N, K] int64: index into the pool, the nearest last; -1, before all others, where the guards left too few."""
    similarity: np.ndarray
    """[N, K] float32: similarity of sample and example, 0 where there is none."""


def find_pool(knowledge: Knowledge, samples: Samples) -> Pool:
    """Find the sample of each row of knowledge about an event; rows about events that the data lacks are left out.

    Raises:
        UnfitExamples: A row is about an event that is not for training.
    """
    about = [event_of(entity) for entity in knowledge.entities.tolist()]
    key = ("user", "item", "time")
    wanted = pl.DataFrame(
        {
            "user": codes_of(np.array([user for user, _ in about], dtype=str), samples.user_ids),
            "item": codes_of(np.array([item for _, item in about], dtype=str), samples.item_ids),
            "time": knowledge.as_of.astype("datetime64[us]"),
        }
    ).with_row_index("row")
    events = pl.DataFrame({"user": samples.user, "item": samples.item, "time": samples.time}).with_row_index("sample")
    found = wanted.join(events.unique(key, keep="first", maintain_order=True), on=key, how="inner").sort("row")
    sample = found["sample"].to_numpy().astype(np.int64)
    wrong = samples.part[sample] != PARTS.index("train")
    if wrong.any():
        first = sample[wrong][0]
        event = f"user {samples.user_ids[samples.user[first]]}, item {samples.item_ids[samples.item[first]]}"
        raise UnfitExamples(knowledge.task, int(wrong.sum()), len(wrong), f"{event}, {samples.time[first]}")
    return Pool(sample, found["row"].to_numpy().astype(np.int64), knowledge.seen_until)


@dataclass(frozen=True)
class Encodings:
    """Vectors by which samples are compared: the item's, and the mean of the history's."""

    table: Tensor
    """[V + 1, d]: vectors of items, of length one; the last one is zeros, for what is not known."""
    item: np.ndarray
    """[N] int64: each sample's item in the table."""
    history: np.ndarray
    """[N, 12] int64: the same of the newest events of its history."""

    def of(self, rows: np.ndarray) -> Tensor:
        """Vectors whose inner products are similarities: [B] samples -> [B, 2d]."""
        item, past = torch.from_numpy(self.item[rows]), torch.from_numpy(self.history[rows])
        total = functional.embedding_bag(past, self.table, mode="sum")  # [B, d], along the mean
        return torch.cat([functional.normalize(total, dim=1), self.table[item]], dim=1) * 0.5**0.5


def encodings(items: Knowledge, samples: Samples) -> Encodings:
    """Let each sample see what is known, strictly before it, of its item and of its history's items."""
    unit = functional.normalize(torch.from_numpy(items.vectors), dim=1)
    unknown, recent = len(unit), replace(samples, history=samples.history[:, -RECENT:])
    item, history = (view.rows for view in (knowledge_view(items, samples), history_view(items, recent)))
    return Encodings(
        torch.cat([unit, torch.zeros(1, unit.shape[1])]),
        np.where(item >= 0, item, unknown),
        np.where(history >= 0, history, unknown),
    )


def allowed(rows: np.ndarray, pool: Pool, samples: Samples, strict: bool) -> np.ndarray:
    """Which examples the guards let each sample see: [B] samples -> [B, M] bool."""
    earlier = samples.time[pool.sample] < samples.time[rows, None]
    seen = earlier if strict else earlier | (samples.user[pool.sample] != samples.user[rows, None])
    # Vectors of a tuned encoder tell of the events it was tuned on: earlier samples are shown none.
    return seen if pool.seen_until is None else seen & (pool.seen_until < samples.time[rows, None])


def retrieve(pool: Pool, encoded: Encodings, samples: Samples, choice: Choice) -> Retrieved:
    """Choose the examples of every sample, by exact comparison with the whole pool.

    Args:
        pool: The examples.
        encoded: Vectors by which samples are compared.
        samples: All samples, whatever their part.
        choice: How many, and under which guards.

    Returns:
        What each sample is shown. Of equally near examples the first of the pool is taken.

    Raises:
        ValueError: The number of examples is odd.
    """
    if choice.count < 2 or choice.count % 2:
        raise ValueError(f"{choice.count} examples cannot be half liked and half not: take an even number")
    chosen = np.full((len(samples.item), choice.count), -1, dtype=np.int64)
    similarity = np.zeros(chosen.shape, dtype=np.float32)
    if len(pool.sample) == 0:
        return Retrieved(chosen, similarity)
    of_pool = encoded.of(pool.sample).T.contiguous()  # [2d, M]
    liked = samples.label[pool.sample] == 1
    sides = [torch.from_numpy(np.flatnonzero(side)) for side in (liked, ~liked)]
    for rows in _blocks(len(chosen)):
        near = encoded.of(rows) @ of_pool  # [B, M]
        rank = _chances(near, rows) if choice.by_chance else near
        rank = rank.masked_fill(torch.from_numpy(~allowed(rows, pool, samples, choice.strict)), -torch.inf)
        found = torch.cat([_highest(rank, side, choice.count // 2) for side in sides], dim=1)  # [B, K]
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
    """The highest of some columns, the first of equal ones: [B, M], [S] -> [B, number] columns, -1 = none is left."""
    left = rank[:, side].clone()  # [B, S]
    found = torch.full((len(rank), number), -1)
    for place in range(min(number, len(side))):
        best = left.argmax(dim=1, keepdim=True)  # the first of equal ones, says torch
        there = left.gather(1, best) > -torch.inf
        found[:, place] = torch.where(there, side[best], -1).squeeze(1)
        left.scatter_(1, best, -torch.inf)
    return found


def _look_up(values: Tensor, columns: Tensor, otherwise: float) -> Tensor:
    """Values at columns, and something else where the column is -1: [B, M], [B, K] -> [B, K]."""
    return torch.where(columns >= 0, values.gather(1, columns.clamp(min=0)), otherwise)
