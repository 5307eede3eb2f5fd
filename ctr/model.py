"""The click model: fields, any backbone, and any adapters; no file per pair."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import cast

import torch
from torch import Tensor, nn

from ctr.adapters.protocol import AdapterModule, ExampleModule
from ctr.backbones.protocol import Backbone
from ctr.batch import Batch, Fields
from ctr.rating_head import RatingHead


class ClickModel(nn.Module):
    """Scores samples: the adapters' outputs are appended to the dense values.

    Args:
        fields: Embeds a batch.
        backbone: Turns the embedded batch into logits.
        adapters: The adapters' modules, by their position in the arm.
        rating: Predicts ratings as a second task; None = clicks alone.
    """

    def __init__(
        self,
        fields: Fields,
        backbone: nn.Module,
        adapters: Mapping[str, nn.Module],
        rating: RatingHead | None = None,
    ) -> None:
        super().__init__()
        self.fields, self.backbone, self.adapters = fields, backbone, nn.ModuleDict(adapters)
        self.rating = rating

    def forward(self, batch: Batch) -> Tensor:
        """Score B samples: logits [B]."""
        return self.answer(batch)[0]

    def answer(
        self, batch: Batch, rating: Tensor | None = None, known_rows: Tensor | None = None
    ) -> tuple[Tensor, list[Tensor]]:
        """Score B samples.

        Args:
            batch: The samples.
            rating: [B], NaN = none: what the second task learns; None unless it trains.
            known_rows: What its loss is divided by, see `RatingHead.loss`.

        Returns:
            Logits [B], and the own training losses of adapters and of the second task, [] each.
        """
        states = self.fields(batch)
        added, losses = [], []
        for place, adapter in self.adapters.items():
            if place in batch.shown:
                shown = batch.shown[place]
                out, loss = adapter(states, self.fields(shown.samples), shown)
                losses += [loss] if loss is not None else []
            else:
                out = adapter(batch.views[place])
            added.append(out)  # [B, width]
        if added:
            states = replace(states, dense=torch.cat([states.dense, *added], dim=1))
        if self.rating is not None and rating is not None:
            losses.append(self.rating.loss(states, rating, known_rows))
        return self.backbone(states), losses


def build_model(
    backbone: Backbone,
    fields: Fields,
    dense: int,
    adapters: Mapping[str, AdapterModule | ExampleModule],
    make_rating: Callable[[int], RatingHead] | None = None,
) -> ClickModel:
    """Compose a model.

    Args:
        backbone: The backbone; must have a network.
        fields: Embeds a batch.
        dense: Number of dense values of a batch.
        adapters: The adapters' modules; empty for the plain backbone.
        make_rating: Makes the head of the second task from the length of its input; None = clicks alone.

    Returns:
        The model, with parameters drawn from torch's current seed.
    """
    added = sum(adapter.width for adapter in adapters.values())
    assert backbone.network is not None  # `ctr.learners.make_learner` trains trees otherwise
    scorer = backbone.network(fields.count, fields.width, dense + added)
    modules = {place: cast("nn.Module", module) for place, module in adapters.items()}
    # Made last, so that all else starts as without it.
    rating = make_rating(fields.count * fields.width + dense + added) if make_rating else None
    return ClickModel(fields, scorer, modules, rating)
