"""FM: a factorisation machine over all fields and dense values; every pair has the inner product of its factors.

Paper:     Rendle 2010, "Factorization Machines", section III, equations 1 and 5.
Formula:   logit = w_0 + sum_i w_i x_i + sum_{i<j} <v_i, v_j> x_i x_j over the one-hot ids, categories and history, and
           the dense values x_k with factors v_k of their own
Relations: LR without its pairs; DeepFM adds a perceptron and pairs fields alone; AutoInt weighs pairs by attention.
"""

import torch
from torch import Tensor, nn

from ctr.backbones.deepfm import pairs
from ctr.backbones.protocol import Backbone
from ctr.batch import States


class FM(nn.Module):
    """Scores samples.

    Args:
        fields: Number of fields, F.
        width: Width of an embedding, d.
        dense: Number of dense values, k.
    """

    def __init__(self, fields: int, width: int, dense: int) -> None:
        super().__init__()
        self.first = nn.Linear(fields * width + dense, 1)  # linear in the one-hot input, because embeddings are
        self.factors = nn.Parameter(torch.randn(dense, width) * 0.01)

    def forward(self, states: States) -> Tensor:
        """Score samples: [B, F, d] and [B, k] -> logits [B]."""
        linear = self.first(torch.cat([states.fields.flatten(1), states.dense], dim=1)).squeeze(1)
        valued = states.dense.unsqueeze(-1) * self.factors  # [B, k, d]
        return linear + pairs(torch.cat([states.fields, valued], dim=1))


FACTORISATION = Backbone("fm", "A factorisation machine over all fields and dense values.", FM, history=False)
