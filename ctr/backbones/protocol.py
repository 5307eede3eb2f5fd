"""The interface of a backbone: a network over fields and dense values, gradient-boosted trees over columns, or both."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from base.plugins import Kind, choose
from ctr.past import PastRule


@dataclass(frozen=True)
class Backbone:
    """Turns a sample into a logit."""

    name: str
    """Its name in knowflow.yaml, equal to the name of its file."""
    about: str
    """Description, in one line."""
    network: Callable[[int, int, int], nn.Module] | None = None
    """Makes a module from the number of fields F, the width of an embedding d and the number of dense values k. The
    module turns `ctr.batch.States` of B samples into logits [B]. None if there is no network."""
    trees: bool = False
    """Whether to use gradient-boosted trees; if there is also a network, the logits of both are averaged."""
    history: bool = True
    """Whether the network reads `States.history`, the embedding of every event; their sums are in `States.fields`."""
    live: Callable[[Any], nn.Module] | None = None
    """Makes of the trained module one with the same logits that computes what depends on the user alone once: its
    `States` hold the history of one user, [1, H, ...], and B targets. None: the module itself, with the history
    repeated for every target."""
    past: PastRule | None = None
    """The earlier events that the network reads as `States.past`, with their times; None = the history alone."""


BACKBONES = Kind("backbone", "ctr.backbones", Backbone)


def choose_backbone(name: str, plugins: Sequence[Path] = ()) -> Backbone:
    """Return a backbone by name.

    Args:
        name: Its name.
        plugins: Folders of a team's own plug-ins.

    Raises:
        UnknownPlugin: There is no backbone with this name.
        PluginFault: A file in the folders cannot be used.
    """
    return choose(BACKBONES, [name], plugins)[0]
