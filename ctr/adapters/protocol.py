"""The protocol of an adapter: how it prepares knowledge once, and the module through which a backbone reads it.

An adapter is a file in this folder that declares one `Adapter`. `prepare` runs once per arm; anything it fits on labels
serves strictly later rows only, whatever their part. `build` makes a module that turns B samples into [B, width], which
every backbone reads beside its own fields.

`serve` splits its views into what is known of a user, what is known of an item, and a module that puts both together,
so that an exported model computes them for any pair without the log.

An `ExampleAdapter` reads whole samples instead: training rows chosen as examples, embedded by the backbone's own
fields, beside the sample itself. It may add its own loss to that of the clicks.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from ctr.batch import Known, Shown, States
from ctr.samples import Samples
from ctr.serving.live import Live, Served
from ctr.views import Examples, View
from feature_store.vectors import Knowledge
from retrieval.examples import ExampleRule

Prepare = Callable[[Sequence[Knowledge], Samples, int], Mapping[str, View]]
"""Takes the vectors, the samples and the number of folds; returns the views its module reads, by name."""
Build = Callable[[Mapping[str, int]], "AdapterModule"]
"""Takes the width of every view; returns the module."""
Serve = Callable[[Sequence[Knowledge], Samples, int, Live], Served]
"""Takes the same and the live rows; returns what the adapter reads of any live pair."""
PrepareExamples = Callable[[Sequence[Knowledge], Samples, ExampleRule], Examples]
"""Takes the vectors, the samples and how to choose; returns the examples its module reads."""
BuildExamples = Callable[[int, int, int, float], "ExampleModule"]
"""Takes the length of a sample's features, the length of a vector, the number of examples per sample and the weight of
the module's own loss; returns the module."""


class AdapterModule(Protocol):
    """The interface of every adapter's `nn.Module`."""

    width: int
    """Length of what it adds to a sample."""

    def __call__(self, views: Mapping[str, Known]) -> Tensor:
        """What the views hold of B samples -> [B, width]."""
        ...


class ExampleModule(Protocol):
    """The interface of the `nn.Module` of an adapter that reads examples."""

    width: int
    """Length of what it adds to a sample."""

    def __call__(self, query: States, examples: States, shown: Shown) -> tuple[Tensor, Tensor | None]:
        """What B samples get from their examples -> [B, width], and a loss of its own while training, or None."""
        ...


def view_name(knowledge: Knowledge) -> str:
    """Return the name of the view of some vectors: `task/encoder`, as in arms."""
    return f"{knowledge.task}/{knowledge.encoder}"


@dataclass(frozen=True)
class Adapter:
    """One way for knowledge to enter a backbone."""

    name: str
    """Name of its file, by which arms call it."""
    prepare: Prepare
    """Made once per arm."""
    build: Build
    """Made once per training run."""
    about: str
    """What it does, in a few words for the report."""
    serve: Serve | None = None
    """How an exported model reads it (`ctr/serving`); None: an arm with it cannot be exported."""


@dataclass(frozen=True)
class ExampleAdapter:
    """One way for examples to enter a backbone."""

    name: str
    """Name of its file, by which arms call it."""
    prepare: PrepareExamples
    """Made once per arm."""
    build: BuildExamples
    """Made once per training run."""
    about: str
    """What it does, in a few words for the report."""


class Missing(nn.Module):
    """Puts a learned vector where nothing is known (docs/explanation/kar.md, K10).

    Args:
        width: Length of a vector.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.vector = nn.Parameter(torch.zeros(width))

    def forward(self, known: Known) -> Tensor:
        """Vectors [B, k] and mask [B] -> [B, k]."""
        vectors, there = known
        return torch.where(there.unsqueeze(-1), vectors, self.vector)


class Plain(nn.Module):
    """Passes views on, with a learned vector where nothing is known.

    Args:
        widths: Width of every view; their vectors are joined in this order.
    """

    def __init__(self, widths: Mapping[str, int]) -> None:
        super().__init__()
        self.names = tuple(widths)  # beside a list, for a module's own name may hold no dot
        self.missing = nn.ModuleList(Missing(width) for width in widths.values())
        self.width = sum(widths.values())

    def forward(self, views: Mapping[str, Known]) -> Tensor:
        """What the views hold of B samples -> [B, width]."""
        parts = [module(views[name]) for name, module in zip(self.names, self.missing, strict=True)]
        return torch.cat(parts, dim=1)
