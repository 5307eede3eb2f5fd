"""Live pairs: what is known of each user and of each item after the whole log, from which any pair's inputs follow.

A pair's inputs are of three kinds: of the user, of the item, and of both together. The first two are read from one live
row per user and one per item, rows that did not happen (`Samples.happened`); the third is computed by a module from
what is known of both.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from ctr.scale import FARTHEST, LEAST_DEVIATION


@dataclass(frozen=True)
class Live:
    """The live rows among some samples; U users and I items, the unknown ones among them."""

    users: np.ndarray
    """[U] int64: the row of each user, by code."""
    items: np.ndarray
    """[I] int64: the row of each item, by code."""


@dataclass(frozen=True)
class Served:
    """What an adapter reads of live pairs."""

    user: Mapping[str, np.ndarray]
    """Arrays with one row per user."""
    item: Mapping[str, np.ndarray]
    """Arrays with one row per item."""
    history: tuple[str, ...]
    """Names of the item's arrays that are read of the items of a user's history too."""
    views: nn.Module
    """Takes what is known of one user, [1, ...] each, of its history, [1, H, ...], and of B items, [B, ...], by name;
    returns the adapter's views of B pairs: name -> vectors [B, k] and mask [B]."""
    widths: Mapping[str, int]
    """Width of every view."""


@dataclass(frozen=True)
class Scale:
    """Mean and deviation of k columns over a whole log."""

    mean: np.ndarray
    """[k] float64."""
    deviation: np.ndarray
    """[k] float64, never zero."""


def past_scale(values: np.ndarray, happened: np.ndarray) -> Scale:
    """Return the scale that `ctr.scale.standardise_by_past` uses for a row after the whole log.

    Args:
        values: [N, k], NaN where unknown.
        happened: [N] bool: the rows that others are compared with.
    """
    known, filled = ~np.isnan(values[happened]), np.nan_to_num(values[happened]).astype(np.float64)
    number = np.maximum(known.sum(axis=0), 1)
    mean = filled.sum(axis=0) / number
    deviation = np.sqrt(np.maximum(np.square(filled).sum(axis=0) / number - np.square(mean), 0))
    return Scale(mean, np.where(deviation > LEAST_DEVIATION, deviation, 1))


class Scaled(nn.Module):
    """Shifts, scales and clips columns, as `ctr.scale.standardise_by_past` does.

    Args:
        scale: Of the k columns.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, scale: Scale) -> None:
        super().__init__()
        self.register_buffer("mean", torch.from_numpy(scale.mean).float())
        self.register_buffer("deviation", torch.from_numpy(scale.deviation).float())

    def forward(self, values: Tensor) -> Tensor:
        """[B, k] -> [B, k]."""
        return ((values - self.mean) / self.deviation).clamp(-FARTHEST, FARTHEST)
