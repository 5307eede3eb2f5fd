"""Fields: a sample's ids, categories and history as embeddings, which every backbone reads."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ctr.batch import Batch


@dataclass(frozen=True)
class States:
    """What a backbone reads of B samples: F fields of width d, H events of history, k dense values."""

    fields: Tensor
    """[B, F, d]: user, item, categories, and the history pooled in three ways."""
    dense: Tensor
    """[B, k]: statistics, numbers, and what the adapters add."""
    target: Tensor
    """[B, d]: embedding of the item."""
    history: Tensor
    """[B, H, d]: embeddings of the history's items."""
    history_rating: Tensor
    """[B, H]: centred ratings."""
    history_mask: Tensor
    """[B, H]: 1 where there is an event."""


class Fields(nn.Module):
    """Embeds a batch.

    The history is pooled with one learned weight per place (at first the newest event counts most), over all events,
    over those rated above the mean of this history, and over the others.

    Args:
        users: Number of users.
        items: Number of items.
        categories: Number of item categories.
        history_length: Events in a history, H.
        width: Width of an embedding, d.
    """

    count = 6

    def __init__(self, users: int, items: int, categories: int, history_length: int, width: int) -> None:
        super().__init__()
        self.width = width
        self.user = nn.Embedding(users, width)
        self.item = nn.Embedding(items, width)
        self.category = nn.Linear(categories, width, bias=False) if categories else None
        # Starts as a slow decay with age: e-fold over ten events.
        age = torch.arange(history_length - 1, -1, -1, dtype=torch.float32)
        self.recency = nn.Parameter(-age / 10)
        for table in (self.user, self.item):
            nn.init.normal_(table.weight, std=0.01)  # an id that training never meets adds next to nothing

    def forward(self, batch: Batch) -> States:
        """Embed B samples."""
        user, target, history = self.user(batch.user), self.item(batch.item), self.item(batch.history)
        category = self.category(batch.categories) if self.category is not None else torch.zeros_like(user)
        weight = self.recency.exp() * batch.history_mask  # [B, H]
        liked = weight * (batch.history_rating > 0)
        pooled = torch.stack([weight, liked, weight - liked], dim=1)  # [B, 3, H]
        pooled = pooled / pooled.sum(-1, keepdim=True).clamp(min=1e-6)
        fields = torch.cat([torch.stack([user, target, category], dim=1), pooled @ history], dim=1)  # [B, 6, d]
        return States(fields, batch.dense, target, history, batch.history_rating, batch.history_mask)
