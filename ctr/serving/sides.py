"""Adapters whose views are each of a user or of an item alone: their live views are looked up, not computed."""

from collections.abc import Mapping, Sequence

import numpy as np
from torch import Tensor, nn

from ctr.adapters.protocol import Prepare, Serve, view_name
from ctr.batch import Known
from ctr.samples import Samples
from ctr.serving.live import Live, Served
from feature_store.vectors import Knowledge


def by_side(prepare: Prepare) -> Serve:
    """Make the `serve` of an adapter that has one view for every knowledge, named by `view_name`.

    Args:
        prepare: Its `prepare`. What it gives to a row depends on the row's time, and on the row's user if the knowledge
            is about users, else on the row's item alone.
    """

    def serve(knowledge: Sequence[Knowledge], samples: Samples, folds: int, live: Live) -> Served:
        views = prepare(knowledge, samples, folds)
        user: dict[str, np.ndarray] = {}
        item: dict[str, np.ndarray] = {}
        for place, one in enumerate(knowledge):
            view = views[view_name(one)]
            arrays, rows = (user, live.users) if one.entity == "user" else (item, live.items)
            found = view.rows[rows]
            empty = np.zeros((1, view.width), dtype=view.table.dtype)  # so that an empty table can be indexed
            arrays[f"vector_{place}"] = np.where(found[:, None] >= 0, np.concatenate([view.table, empty])[found], 0)
            arrays[f"known_{place}"] = found >= 0
        names = [view_name(one) for one in knowledge]
        return Served(user, item, (), Sides(names), {name: views[name].width for name in names})

    return serve


class Sides(nn.Module):
    """Passes on what is known of the user and of the items.

    Args:
        names: Names of the views, in the order of the arrays.
    """

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__()
        self.names = tuple(names)

    def forward(
        self, user: Mapping[str, Tensor], history: Mapping[str, Tensor], item: Mapping[str, Tensor]
    ) -> dict[str, Known]:
        """Vectors [1, k] or [B, k] and masks -> the views, as they are."""
        both = {**user, **item}
        return {name: (both[f"vector_{place}"], both[f"known_{place}"]) for place, name in enumerate(self.names)}
