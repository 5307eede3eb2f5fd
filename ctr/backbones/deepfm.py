"""DeepFM: a factorisation machine over pairs of fields, and a multilayer perceptron on the same embeddings.

Paper:     Guo et al. 2017, "DeepFM: A Factorization-Machine based Neural Network for CTR Prediction", section 2.
Formula:   logit = w x + sum_{i<j} <v_i, v_j> + mlp([v ; dense]);   sum_{i<j} <v_i, v_j> = (|sum v|^2 - sum |v|^2) / 2
Relations: DCNv2 learns the weight of every cross; LR is its first-order part alone. Knowledge enters the perceptron
           and the first-order part (KAR, section 4.3).
"""

import torch
from torch import Tensor, nn

from ctr.backbones.perceptron import perceptron
from ctr.backbones.protocol import Backbone
from ctr.batch import States


class DeepFM(nn.Module):
    """Scores samples.

    Args:
        fields: Number of fields, F.
        width: Width of an embedding, d.
        dense: Number of dense values, k.
        hidden: Widths of the perceptron.
    """

    def __init__(self, fields: int, width: int, dense: int, hidden: tuple[int, ...] = (128, 64)) -> None:
        super().__init__()
        size = fields * width + dense
        self.first = nn.Linear(size, 1)
        self.deep = perceptron(size, hidden)
        self.out = nn.Linear(hidden[-1], 1, bias=False)

    def forward(self, states: States) -> Tensor:
        """Score samples: [B, F, d] and [B, k] -> logits [B]."""
        start = torch.cat([states.fields.flatten(1), states.dense], dim=1)  # [B, F * d + k]
        linear = self.first(start) + self.out(self.deep(start))  # [B, 1]
        return linear.squeeze(1) + pairs(states.fields)


def pairs(fields: Tensor) -> Tensor:
    """Sum the inner products of all pairs of fields: [B, F, d] -> [B]."""
    total = fields.sum(dim=1)  # [B, d]
    return (total.square() - fields.square().sum(dim=1)).sum(dim=1) / 2


DEEPFM = Backbone("deepfm", "A factorisation machine over pairs of fields, and a perceptron.", DeepFM, history=False)
