"""The multilayer perceptron shared by deep backbones and adapters."""

from itertools import pairwise

from torch import nn


def perceptron(inputs: int, hidden: tuple[int, ...]) -> nn.Sequential:
    """Stack linear layers, each followed by ReLU: [B, inputs] -> [B, hidden[-1]]."""
    layers: list[nn.Module] = []
    for before, after in pairwise((inputs, *hidden)):
        layers += [nn.Linear(before, after), nn.ReLU()]
    return nn.Sequential(*layers)
