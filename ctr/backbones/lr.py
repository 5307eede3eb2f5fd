"""Logistic regression: one weight for every id, category, history position and dense value; no crosses.

Paper:     Richardson et al. 2007, "Predicting Clicks: Estimating the Click-Through Rate for New Ads", section 4.
Formula:   logit = w [fields ; dense] + b, linear in the one-hot input, because embeddings are linear in it.
Relations: the first-order part of DeepFM, and the baseline of every other backbone.
"""

import torch
from torch import Tensor, nn

from ctr.backbones.protocol import Backbone
from ctr.batch import States


class LR(nn.Module):
    """Scores samples.

    Args:
        fields: Number of fields, F.
        width: Width of an embedding, d.
        dense: Number of dense values, k.
    """

    def __init__(self, fields: int, width: int, dense: int) -> None:
        super().__init__()
        self.out = nn.Linear(fields * width + dense, 1)

    def forward(self, states: States) -> Tensor:
        """Score samples: [B, F, d] and [B, k] -> logits [B]."""
        return self.out(torch.cat([states.fields.flatten(1), states.dense], dim=1)).squeeze(1)


LOGISTIC = Backbone("lr", "Logistic regression: one weight for every id, category and dense value.", LR, history=False)
