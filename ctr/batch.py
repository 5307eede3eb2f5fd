"""Batches: gather the inputs of some samples, and embed them as the fields that every backbone reads."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from ctr.distributed import own_part
from ctr.lookup import look_up, pool
from ctr.past import Past, PastRule, Pasts
from ctr.samples import Samples
from ctr.views import Examples, View

SPARSE_FROM = 100_000
"""Rows of a table from which a step through all of them takes longer than the batch."""
Known = tuple[Tensor, Tensor]
"""Vectors [B, k] (or [B, H, k]), zeros where unknown, and the mask [B] (or [B, H]) of known ones."""


@dataclass(frozen=True)
class Batch:
    """B samples; H is the history length, F the number of statistics."""

    user: Tensor
    """[B] int64."""
    item: Tensor
    """[B] int64."""
    categories: Tensor
    """[B, C] float32: the item's category shares."""
    dense: Tensor
    """[B, F] float32: statistics and the item's numbers."""
    history: Tensor
    """[B, H] int64: items of the history, the newest last, 0 = none (see the mask)."""
    history_rating: Tensor
    """[B, H] float32: rating minus the mean rating of this history, 0 = none."""
    history_mask: Tensor
    """[B, H] float32: 1 where there is an event."""
    views: Mapping[str, Mapping[str, Known]]
    """Inputs of the adapters: adapter's position in the arm -> view -> vectors."""
    shown: Mapping[str, "Shown"] = field(default_factory=dict)
    """Examples for the adapters: adapter's position in the arm -> examples."""
    past: Past | None = None
    """Earlier events with their times; None unless the backbone asks for them."""


@dataclass(frozen=True)
class Shown:
    """The examples of B samples: U distinct ones, K per sample."""

    samples: Batch
    """The U examples as samples, without views."""
    label: Tensor
    """[U] int64: their labels."""
    vectors: Tensor
    """[U, k] float32: their knowledge vectors."""
    chosen: Tensor
    """[B, K] int64: the examples of each sample as indices into U, the nearest last; -1 = none."""
    total: Tensor
    """[] float32: what a sum over all that are chosen is divided by for their mean (`ctr.distributed.own_part`)."""


class Batches:
    """Splits samples into batches.

    Args:
        samples: N samples.
        views: Inputs of the adapters: adapter's position in the arm -> view -> frozen table, or examples.
        past_rule: The earlier events that the backbone asks for; None = none but the histories.
    """

    def __init__(
        self, samples: Samples, views: Mapping[str, Mapping[str, View] | Examples], past_rule: PastRule | None = None
    ) -> None:
        self._past = Pasts(samples, past_rule) if past_rule else None
        self._samples, self._kept = samples, None
        if isinstance(samples.history, np.ndarray):  # small enough to keep what is gathered from it
            self._kept = _events(samples, slice(None))
        self._item = torch.from_numpy(samples.item)
        self._user = torch.from_numpy(samples.user)
        self._categories = torch.from_numpy(samples.item_categories)
        self._dense = torch.from_numpy(samples.statistics)
        self._numbers = torch.from_numpy(samples.item_numbers)
        self._views = {
            place: {name: (torch.from_numpy(view.table), torch.from_numpy(view.rows)) for name, view in of_one.items()}
            for place, of_one in views.items()
            if not isinstance(of_one, Examples)
        }
        self._counted = {place: of.counted for place, of in views.items() if isinstance(of, Examples)}
        self._statistics = samples.statistics.shape[1]
        self._examples = {
            place: tuple(torch.from_numpy(part) for part in (of.sample, of.label, of.vectors, of.chosen))
            for place, of in views.items()
            if isinstance(of, Examples)
        }

    @property
    def dense_width(self) -> int:
        """Return the number of dense columns, F."""
        return int(self._dense.shape[1] + self._numbers.shape[1])

    def take(self, rows: Tensor, of: Tensor | None = None) -> Batch:
        """Gather some samples.

        Args:
            rows: [B] int64 indices.
            of: The batch of which these are one process's share, [A] int64 indices; None = they are the whole batch.

        Returns:
            The samples.
        """
        views = {
            place: {name: _look_up(table, index[rows]) for name, (table, index) in of_one.items()}
            for place, of_one in self._views.items()
        }
        return self._gather(rows, views, {place: self._show(place, rows, of) for place in self._examples})

    def _gather(self, rows: Tensor, views: Mapping[str, Mapping[str, Known]], shown: Mapping[str, Shown]) -> Batch:
        item = self._item.index_select(0, rows)  # copies whole rows, unlike indexing
        if self._kept:
            history, rating, mask = (of.index_select(0, rows) for of in self._kept)
        else:
            history, rating, mask = _events(self._samples, rows.numpy())
        dense = [self._dense.index_select(0, rows), self._numbers.index_select(0, item)]
        return Batch(
            user=self._user.index_select(0, rows),
            item=item,
            categories=self._categories.index_select(0, item),
            dense=torch.cat(dense, dim=1),
            history=history.long(),
            history_rating=rating,
            history_mask=mask.float(),
            views=views,
            shown=shown,
            past=self._past.take(rows) if self._past else None,
        )

    def _show(self, place: str, rows: Tensor, of: Tensor | None) -> Shown:
        """Gather each example once, even if several samples share it."""
        sample, label, vectors, chosen = self._examples[place]
        used, index = torch.unique(chosen[rows], return_inverse=True)  # sorted, so that -1 comes first
        lacking = int((used < 0).sum())
        used = used[lacking:]
        batch = self._gather(sample[used], {}, {})
        if not self._counted[place]:
            batch.dense[:, : self._statistics] = 0  # a copy
        total = own_part(chosen[rows if of is None else of] >= 0, rows)
        return Shown(batch, label[used], vectors[used], index - lacking, total)


def _events(samples: Samples, rows: np.ndarray | slice) -> tuple[Tensor, Tensor, Tensor]:
    """Gather the events of some histories: items, ratings minus their mean, and which there are, [B, H] each."""
    history = samples.history[rows]
    there, past = history >= 0, np.maximum(history, 0)
    rating = np.where(there, samples.rating[past], 0)
    mean = rating.sum(1, keepdims=True) / np.maximum(there.sum(1, keepdims=True), 1)
    items = np.where(there, samples.item[past], 0).astype(np.int32)
    ratings = np.where(there, rating - mean, 0).astype(np.float32)
    return torch.from_numpy(items), torch.from_numpy(ratings), torch.from_numpy(there)


def _look_up(table: Tensor, index: Tensor) -> Known:
    known = index >= 0
    if len(table) == 0:
        return table.new_zeros(*index.shape, table.shape[1]), known  # codes stay integers
    return table[index.clamp(min=0)] * known.unsqueeze(-1), known


@dataclass(frozen=True)
class PastStates:
    """Earlier events of B samples, for a backbone that asks for them: K of each, the newest last."""

    events: Tensor
    """[B, K, d]: embeddings of their items."""
    rating: Tensor
    """[B, K]: centred ratings."""
    age: Tensor
    """[B, K] int64: seconds from the event to the sample."""
    mask: Tensor
    """[B, K]: 1 where there is an event."""


@dataclass(frozen=True)
class States:
    """Inputs of a backbone for B samples: F fields of width d, H events of history, k dense values."""

    fields: Tensor
    """[B, F, d]: user, item, categories, and the history pooled in three ways."""
    dense: Tensor
    """[B, k]: statistics, numbers, and the outputs of the adapters."""
    target: Tensor
    """[B, d]: embedding of the item."""
    history: Tensor
    """[B, H, d]: embeddings of the history's items; [B, 0, d] for a backbone that does not read them."""
    history_rating: Tensor
    """[B, H]: centred ratings."""
    history_mask: Tensor
    """[B, H]: 1 where there is an event."""
    past: PastStates | None = None
    """Earlier events with their times; None unless the backbone asks for them (`Backbone.past`)."""


class Fields(nn.Module):
    """Embeds a batch.

    The history is pooled with one learned weight per position (initially the newest event counts most), over all
    events, over those rated above the mean of this history, and over the others.

    Args:
        users: Number of users.
        items: Number of items.
        categories: Number of item categories.
        history_length: Events in a history, H.
        width: Width of an embedding, d.
        events: Whether to embed every event of the history, not only their sums.
        sparse_from: Rows from which a table has sparse gradients.
    """

    count = 6

    def __init__(
        self,
        users: int,
        items: int,
        categories: int,
        history_length: int,
        width: int,
        events: bool = True,
        sparse_from: int = SPARSE_FROM,
    ) -> None:
        super().__init__()
        self.width, self.events, self.sparse_from = width, events, sparse_from
        self.user = nn.Embedding(users, width)
        self.item = nn.Embedding(items, width)
        self.category = nn.Linear(categories, width, bias=False) if categories else None
        # Initialised as a slow decay with age: e-fold over ten events.
        age = torch.arange(history_length - 1, -1, -1, dtype=torch.float32)
        self.recency = nn.Parameter(-age / 10)
        for table in (self.user, self.item):
            nn.init.normal_(table.weight, std=0.01)  # an id unseen in training adds almost nothing

    def is_sparse(self, table: nn.Embedding) -> bool:
        """Return whether a table has sparse gradients."""
        return table.num_embeddings >= self.sparse_from

    @property
    def sparse_tables(self) -> list[Tensor]:
        """The tables with sparse gradients."""
        return [table.weight for table in (self.user, self.item) if self.is_sparse(table)]

    def forward(self, batch: Batch) -> States:
        """Embed B samples."""
        items, of_items = self.item.weight, self.is_sparse(self.item)
        user = look_up(self.user.weight, batch.user, self.is_sparse(self.user))
        weight, liked = self.recency.exp() * batch.history_mask, batch.history_rating > 0  # [B, H]
        target, sums = pool(items, batch.item, batch.history, weight, liked, of_items)  # [B, d], [B, 2, d]
        category = self.category(batch.categories) if self.category is not None else torch.zeros_like(user)
        all_weight, liked_weight = weight.sum(1, keepdim=True), (weight * liked).sum(1, keepdim=True)
        weights = torch.cat([all_weight, liked_weight, all_weight - liked_weight], dim=1)  # [B, 3]
        pooled = torch.cat([sums.sum(1, keepdim=True), sums], dim=1) / weights.clamp(min=1e-6).unsqueeze(-1)
        fields = torch.cat([*(one.unsqueeze(1) for one in (user, target, category)), pooled], dim=1)  # [B, 6, d]
        history = (
            look_up(items, batch.history, of_items) if self.events else target.new_zeros(len(target), 0, self.width)
        )
        past = None
        if (of := batch.past) is not None:
            past = PastStates(look_up(items, of.item, of_items), of.rating, of.age, of.mask)
        return States(fields, batch.dense, target, history, batch.history_rating, batch.history_mask, past)
