"""The past of a sample at any length: events found by index in each batch, so that no [N, 1000] array is ever made.

All events lie once in an order sorted by user and time; a sample's strictly earlier events are a range of it. A rule
says how many of them a backbone reads, and whether only those of the item's categories (SIM's hard search).
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from base.faults import WrongUse
from ctr.earlier import strictly_earlier
from ctr.samples import Samples

WORD = 62
"""Categories in one integer."""


@dataclass(frozen=True)
class PastRule:
    """Which earlier events a backbone reads beside the short history."""

    events: int
    """The newest strictly earlier events of the user, at most so many."""
    same_category: int | None = None
    """Of these, only those that share a category with the sample's item, the newest so many; None = all."""


@dataclass(frozen=True)
class Past:
    """Earlier events of B samples: K of each, the newest last, in the last column; 0 = none, see the mask."""

    item: Tensor
    """[B, K] int64."""
    rating: Tensor
    """[B, K] float32: rating minus the mean rating of these events."""
    age: Tensor
    """[B, K] int64: seconds from the event to the sample."""
    mask: Tensor
    """[B, K] float32: 1 where there is an event."""


class Pasts:
    """Finds the past of samples.

    Args:
        samples: N samples.
        rule: Which events to find.

    Raises:
        WrongUse: The rule asks for events of the same category, and items have none.
    """

    def __init__(self, samples: Samples, rule: PastRule) -> None:
        if rule.same_category and not samples.item_categories.any():
            raise WrongUse(
                "this backbone searches a long history by category, and no item has a category\n"
                "  name the column of categories in knowflow.yaml under items: categories:, or choose another backbone"
            )
        self.rule = rule
        earlier = strictly_earlier(samples.user, samples.time, samples.happened)
        order = earlier.order if len(earlier.order) else np.zeros(1, dtype=np.int32)  # so that it can be indexed
        self._order, self._begin, self._end = (torch.from_numpy(of) for of in (order, earlier.begin, earlier.end))
        self._item, self._rating = torch.from_numpy(samples.item), torch.from_numpy(samples.rating)
        self._time = torch.from_numpy(samples.time.astype("datetime64[us]").astype(np.int64))
        self._bits = torch.from_numpy(category_bits(samples.item_categories)) if rule.same_category else None

    def take(self, rows: Tensor) -> Past:
        """Find the past of some samples: [B] int64 indices."""
        begin, end = self._begin[rows], self._end[rows]
        place = end[:, None] - torch.arange(self.rule.events, 0, -1)  # [B, L]
        if self._bits is not None:  # search no wider than the longest past of the batch
            place = place[:, self.rule.events - min(self.rule.events, int((end - begin).max())) :]
        there = place >= begin[:, None]
        event = self._order[place.clamp(min=0)].long()
        if self._bits is not None and self.rule.same_category:
            wanted = self._bits[self._item[rows]][:, None]  # [B, 1, W]
            same = ((self._bits[self._item[event]] & wanted) != 0).any(-1)
            event, there = _newest(event, there & same, self.rule.same_category)
        rating = self._rating[event] * there
        mean = rating.sum(1, keepdim=True) / there.sum(1, keepdim=True).clamp(min=1)
        age = (self._time[rows][:, None] - self._time[event]) // 1_000_000
        return Past(self._item[event] * there, (rating - mean) * there, age * there, there.float())


def category_bits(shares: np.ndarray) -> np.ndarray:
    """Pack which categories an item has into integers: [I, C] -> [I, W] int64.

    Example:
        >>> category_bits(np.array([[0.5, 0, 0.5], [0, 1, 0]])).tolist()
        [[5], [2]]
    """
    has = (shares > 0).astype(np.int64)
    blocks = [has[:, at : at + WORD] for at in range(0, has.shape[1], WORD)]
    return np.stack([block @ (1 << np.arange(block.shape[1])) for block in blocks], axis=1)


def _newest(event: Tensor, there: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Keep the newest `count` of the events that are there: [B, L] twice -> [B, K] twice, the newest last."""
    age = torch.arange(1, event.shape[1] + 1, dtype=torch.int32)
    best = torch.where(there, age, 0).topk(min(count, event.shape[1]), dim=1).values.flip(1)  # [B, K], ascending
    return event.gather(1, (best.long() - 1).clamp(min=0)), best > 0
