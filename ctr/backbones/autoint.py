"""AutoInt: fields attend to each other, so that each learns which others it crosses with; a perceptron in parallel.

Paper:     Song et al. 2019, "AutoInt: Automatic Feature Interaction Learning via Self-Attentive Neural Networks",
           section 4.4, equations 5 to 8; with a perceptron (AutoInt+, section 5.5).
Formula:   a_mk = softmax_k <W_q e_m, W_k e_k> per head;   e~_m = concat over heads of sum_k a_mk W_v e_k;
           e_m <- relu(e~_m + W_r e_m);   logit = w [e_1 .. e_M] + w' mlp([fields ; dense])
Relations: FM gives every pair the same weight. The dense values are one field, the sum of the paper's v_k x_k; one
           field each would make attention quadratic in the length of the knowledge.
"""

import torch
from torch import Tensor, nn

from ctr.backbones.perceptron import perceptron
from ctr.backbones.protocol import Backbone
from ctr.batch import States


class Interaction(nn.Module):
    """One layer of multi-head self-attention over fields, with a residual.

    Args:
        width: Width of its input.
        heads: Number of heads.
        size: Width of a head.
    """

    def __init__(self, width: int, heads: int, size: int) -> None:
        super().__init__()
        self.heads, self.size = heads, size
        self.query, self.key, self.value, self.residual = (nn.Linear(width, heads * size, bias=False) for _ in range(4))

    def forward(self, fields: Tensor) -> Tensor:
        """Cross fields: [B, M, width] -> [B, M, heads * size]."""
        query, key, value = (self._split(layer(fields)) for layer in (self.query, self.key, self.value))
        weight = torch.softmax(query @ key.transpose(-1, -2), dim=-1)  # [B, heads, M, M]
        crossed = (weight @ value).transpose(1, 2).flatten(2)  # [B, M, heads * size]
        return torch.relu(crossed + self.residual(fields))

    def _split(self, values: Tensor) -> Tensor:
        """Return the heads of some fields: [B, M, heads * size] -> [B, heads, M, size]."""
        return values.unflatten(-1, (self.heads, self.size)).transpose(1, 2)


class AutoInt(nn.Module):
    """Scores samples.

    Args:
        fields: Number of fields, F.
        width: Width of an embedding, d.
        dense: Number of dense values, k.
        layers: Number of attention layers.
        heads: Heads of a layer.
        size: Width of a head.
        hidden: Widths of the perceptron.
    """

    def __init__(
        self,
        fields: int,
        width: int,
        dense: int,
        layers: int = 2,
        heads: int = 2,
        size: int = 8,
        hidden: tuple[int, ...] = (128, 64),
    ) -> None:
        super().__init__()
        self.numbers = nn.Linear(dense, width, bias=False)
        widths = [width, *[heads * size] * layers]
        self.crosses = nn.Sequential(*(Interaction(one, heads, size) for one in widths[:-1]))
        self.deep = perceptron(fields * width + dense, hidden)
        self.out = nn.Linear((fields + 1) * widths[-1] + hidden[-1], 1)

    def forward(self, states: States) -> Tensor:
        """Score samples: [B, F, d] and [B, k] -> logits [B]."""
        tokens = torch.cat([states.fields, self.numbers(states.dense).unsqueeze(1)], dim=1)  # [B, F + 1, d]
        deep = self.deep(torch.cat([states.fields.flatten(1), states.dense], dim=1))
        return self.out(torch.cat([self.crosses(tokens).flatten(1), deep], dim=1)).squeeze(1)


AUTOINT = Backbone("autoint", "Fields that attend to each other, and a perceptron.", AutoInt, history=False)
