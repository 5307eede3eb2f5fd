"""DCNv2: explicit feature crosses of bounded degree in parallel with a multilayer perceptron.

Paper:     Wang et al. 2021, "DCN V2: Improved Deep & Cross Network", section 3, equation 1 and figure 1b (parallel).
Formula:   x_{l+1} = x_0 * (W_l x_l + b_l) + x_l;   logit = w [x_L ; mlp(x_0)]
Relations: DeepFM crosses pairs only; LR crosses nothing.
"""

import torch
from torch import Tensor, nn

from ctr.backbones.perceptron import perceptron
from ctr.backbones.protocol import Backbone
from ctr.batch import States


class DCNv2(nn.Module):
    """Scores samples.

    Args:
        fields: Number of fields, F.
        width: Width of an embedding, d.
        dense: Number of dense values, k.
        crosses: Number of cross layers.
        hidden: Widths of the perceptron.
    """

    def __init__(
        self, fields: int, width: int, dense: int, crosses: int = 2, hidden: tuple[int, ...] = (128, 64)
    ) -> None:
        super().__init__()
        size = fields * width + dense
        self.crosses = nn.ModuleList(nn.Linear(size, size) for _ in range(crosses))
        self.deep = perceptron(size, hidden)
        self.out = nn.Linear(size + hidden[-1], 1)

    def forward(self, states: States) -> Tensor:
        """Score samples: [B, F, d] and [B, k] -> logits [B]."""
        start = torch.cat([states.fields.flatten(1), states.dense], dim=1)  # [B, F * d + k]
        crossed = start
        for layer in self.crosses:
            crossed = start * layer(crossed) + crossed
        return self.out(torch.cat([crossed, self.deep(start)], dim=1)).squeeze(1)


DCNV2 = Backbone("dcnv2", "Explicit crosses of bounded degree, and a perceptron.", DCNv2, history=False)
