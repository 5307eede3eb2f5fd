"""GDCN: explicit crosses of bounded degree, each let through by a learned gate, in parallel with a perceptron.

Paper:     Wang et al. 2023, "Towards Deeper, Lighter and Interpretable Cross Network for CTR Prediction", section 3.2,
           equation 2 (gated cross network), in parallel (GDCN-P).
Formula:   c_{l+1} = c_0 * (W_l c_l + b_l) * sigmoid(V_l c_l) + c_l;   logit = w [c_L ; mlp(c_0)]
Relations: DCNv2 without the gate, which filters crosses of high degree, so that more layers do no harm.
"""

import torch
from torch import Tensor, nn

from ctr.backbones.perceptron import perceptron
from ctr.backbones.protocol import Backbone
from ctr.batch import States


class GDCN(nn.Module):
    """Scores samples.

    Args:
        fields: Number of fields, F.
        width: Width of an embedding, d.
        dense: Number of dense values, k.
        crosses: Number of gated cross layers.
        hidden: Widths of the perceptron.
    """

    def __init__(
        self, fields: int, width: int, dense: int, crosses: int = 3, hidden: tuple[int, ...] = (128, 64)
    ) -> None:
        super().__init__()
        size = fields * width + dense
        self.crosses = nn.ModuleList(nn.Linear(size, size) for _ in range(crosses))
        self.gates = nn.ModuleList(nn.Linear(size, size, bias=False) for _ in range(crosses))
        self.deep = perceptron(size, hidden)
        self.out = nn.Linear(size + hidden[-1], 1)

    def forward(self, states: States) -> Tensor:
        """Score samples: [B, F, d] and [B, k] -> logits [B]."""
        start = torch.cat([states.fields.flatten(1), states.dense], dim=1)  # [B, F * d + k]
        crossed = start
        for layer, gate in zip(self.crosses, self.gates, strict=True):
            crossed = start * layer(crossed) * torch.sigmoid(gate(crossed)) + crossed
        return self.out(torch.cat([crossed, self.deep(start)], dim=1)).squeeze(1)


GATED_CROSS = Backbone("gdcn", "Gated explicit crosses, and a perceptron.", GDCN, history=False)
