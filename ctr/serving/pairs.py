"""Networks and trees over live pairs: what is known of one user, once, and of B items gives B logits.

Inputs, by name: those of the user begin with `user` and those of its history with `history` ([1, ...] each), those of
the B items with `item`; what an adapter reads has its place in the arm, too: `item.0_similarity.vector_0`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from ctr.batch import Batch, Known, States
from ctr.model import ClickModel
from ctr.serving.live import Scale, Scaled

Inputs = Mapping[str, Tensor]
Views = dict[str, dict[str, Known]]
SIDES = ("user", "history", "item")


class LivePairs(nn.Module):
    """The inputs of B pairs that a model reads beside embeddings.

    Args:
        affinity: Scale of the statistics of a user with the categories of an item.
        views: Adapter's place in the arm -> the module that makes its views (`ctr.serving.live.Served.views`).
    """

    def __init__(self, affinity: Scale, views: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.affinity, self.views = Scaled(affinity), nn.ModuleDict(views)

    def forward(self, inputs: Inputs) -> tuple[Tensor, Views]:
        """Return statistics and numbers, [B, F], and the views of the adapters, [B, k] each."""
        size = inputs["item"].shape[0]
        shares = inputs["item.shares"]  # [B, C]
        total = shares.sum(dim=1).clamp(min=1e-9)
        mean = (shares * inputs["user.affinity"]).sum(dim=1) / total
        count = (shares * inputs["user.affinity_count"]).sum(dim=1) / total
        both = self.affinity(torch.stack([mean, torch.log1p(count)], dim=1))
        parts = [inputs["user.statistics"].expand(size, -1), both, inputs["item.statistics"]]
        views: Views = {}
        for place, module in self.views.items():
            made = module(*({name: inputs[key] for name, key in _named(inputs, side, place)} for side in SIDES))
            views[place] = {name: (value.expand(size, -1), there.expand(size)) for name, (value, there) in made.items()}
        return torch.cat(parts, dim=1), views


def _named(inputs: Inputs, side: str, place: str) -> list[tuple[str, str]]:
    """Return the names of an adapter's inputs of one side, and their whole names."""
    begin = f"{side}.{place}."
    return [(key.removeprefix(begin), key) for key in inputs if key.startswith(begin)]


class LiveNetwork(nn.Module):
    """A network over live pairs.

    Args:
        model: The network.
        live: Its backbone's form for one user and many items (`ctr.backbones.protocol.Backbone.live`); None = as it is.
    """

    def __init__(self, model: ClickModel, live: nn.Module | None = None) -> None:
        super().__init__()
        self.model, self.live = model, live

    def forward(self, inputs: Inputs, statistics: Tensor, views: Views) -> Tensor:
        """Return logits [B]; whatever depends on the user alone is computed once."""
        size, fields = inputs["item"].shape[0], self.model.fields
        user = fields(_one_user(inputs))
        target = fields.item(inputs["item"])  # [B, d]
        category = fields.category(inputs["item.shares"]) if fields.category is not None else torch.zeros_like(target)
        whole = user.fields.expand(size, -1, -1)  # [B, F, d]
        adapters = self.model.adapters.items()
        dense = [statistics, *_if_any(inputs, "item.numbers"), *(adapter(views[place]) for place, adapter in adapters)]
        states = States(
            fields=torch.cat([whole[:, :1], target.unsqueeze(1), category.unsqueeze(1), whole[:, 3:]], dim=1),
            dense=torch.cat(dense, dim=1),
            target=target,
            history=user.history,
            history_rating=user.history_rating,
            history_mask=user.history_mask,
        )
        return self.model.backbone(_repeated(states, size)) if self.live is None else self.live(states)


def _repeated(states: States, size: int) -> States:
    """Repeat the history of one user for B items."""
    return replace(
        states,
        history=states.history.expand(size, -1, -1),
        history_rating=states.history_rating.expand(size, -1),
        history_mask=states.history_mask.expand(size, -1),
    )


def _one_user(inputs: Inputs) -> Batch:
    """Make a batch of the user alone; its item and category are of no effect, for others take their place."""
    return Batch(
        user=inputs["user"],
        item=inputs["history"][:, 0],
        categories=inputs["item.shares"][:1],
        dense=inputs["user.statistics"],
        history=inputs["history"],
        history_rating=inputs["history_rating"],
        history_mask=inputs["history_mask"],
        views={},
    )


def _if_any(inputs: Inputs, name: str) -> list[Tensor]:
    """Return an input that has no columns in some data, and then is none."""
    return [inputs[name]] if name in inputs else []


class LiveColumns(nn.Module):
    """The columns that trees read, in their order (`ctr.backbones.gbdt.columns_of`).

    Args:
        places: The adapters whose views are columns.
    """

    def __init__(self, places: Sequence[str]) -> None:
        super().__init__()
        self.places = tuple(places)

    def forward(self, inputs: Inputs, statistics: Tensor, views: Views) -> Tensor:
        """Return columns [B, F], NaN where unknown."""
        known = [view for place in self.places for view in views[place].values()]
        parts = [torch.where(there.unsqueeze(1), value, torch.nan) for value, there in known]
        of_item = (*_if_any(inputs, "item.numbers"), *_if_any(inputs, "item.columns"))
        return torch.cat([statistics, *of_item, *parts], dim=1)


class LiveModel(nn.Module):
    """Everything that is exported: logits of the network, columns of the trees, or both.

    Args:
        pairs: The inputs beside embeddings.
        parts: What reads them.
    """

    def __init__(self, pairs: LivePairs, parts: Sequence[LiveNetwork | LiveColumns]) -> None:
        super().__init__()
        self.pairs, self.parts = pairs, nn.ModuleList(parts)

    def forward(self, inputs: Inputs) -> tuple[Tensor, ...]:
        """Return what every part makes of B pairs."""
        statistics, views = self.pairs(inputs)
        return tuple(part(inputs, statistics, views) for part in self.parts)
