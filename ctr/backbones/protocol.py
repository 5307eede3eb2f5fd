"""The seam of a backbone: a network over fields and dense values, gradient-boosted trees over columns, or both."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from base.plugins import Kind, choose


@dataclass(frozen=True)
class Backbone:
    """What turns a sample into a logit; the name is that of its file, by which knowflow.yaml calls it."""

    name: str
    """Its name."""
    about: str
    """What it is, in one line."""
    network: Callable[[int, int, int], nn.Module] | None = None
    """Makes a module from the number of fields F, the width of an embedding d and the number of dense values k. The
    module turns `ctr.batch.States` of B samples into logits [B]. None where there is no network."""
    trees: bool = False
    """Whether gradient-boosted trees answer; beside a network the logits of both are averaged."""


BACKBONES = Kind("backbone", "ctr.backbones", Backbone)


def choose_backbone(name: str, plugins: Sequence[Path] = ()) -> Backbone:
    """Take a backbone by name.

    Args:
        name: Its name.
        plugins: Folders of a team's own plug-ins.

    Raises:
        UnknownPlugin: There is none of this name.
        PluginFault: A file of the folders cannot be used.
    """
    return choose(BACKBONES, [name], plugins)[0]
