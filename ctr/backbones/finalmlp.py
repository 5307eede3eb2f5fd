"""FinalMLP: two perceptrons read the same input, each through a gate of its own; a bilinear form joins them.

Paper:     Mao et al. 2023, "FinalMLP: An Enhanced Two-Stream MLP Model for CTR Prediction", sections 3.2 and 3.3.
Formula:   h_s = 2 sigmoid(gate_s(x_s)) * x for the streams s = 1, 2;   o_s = mlp_s(h_s);
           logit = b + w_1 o_1 + w_2 o_2 + sum over heads j of o_1j^T W_j o_2j, with o_s cut into equal heads
Relations: DCNv2 crosses inputs with themselves, this the outputs of two perceptrons. The gate of stream 1 reads the
           user, that of stream 2 the item (the paper's choice of x_s where there are both).
"""

import torch
from torch import Tensor, nn

from ctr.backbones.perceptron import perceptron
from ctr.backbones.protocol import Backbone
from ctr.batch import States


class FinalMLP(nn.Module):
    """Scores samples; field 0 is the user and field 1 the item.

    Args:
        fields: Number of fields, F.
        width: Width of an embedding, d.
        dense: Number of dense values, k.
        gate: Width of a gate's hidden layer.
        hidden: Widths of each perceptron; the last one is a multiple of `heads`.
        heads: Heads of the bilinear form.
    """

    def __init__(
        self,
        fields: int,
        width: int,
        dense: int,
        gate: int = 32,
        hidden: tuple[int, ...] = (128, 64),
        heads: int = 4,
    ) -> None:
        super().__init__()
        size, self.heads = fields * width + dense, heads
        self.gates = nn.ModuleList(nn.Sequential(perceptron(width, (gate,)), nn.Linear(gate, size)) for _ in range(2))
        self.streams = nn.ModuleList(perceptron(size, hidden) for _ in range(2))
        self.out = nn.ModuleList([nn.Linear(hidden[-1], 1), nn.Linear(hidden[-1], 1, bias=False)])
        part = hidden[-1] // heads
        self.bilinear = nn.Parameter(torch.empty(heads, part, part))
        nn.init.xavier_normal_(self.bilinear)

    def forward(self, states: States) -> Tensor:
        """Score samples: [B, F, d] and [B, k] -> logits [B]."""
        start = torch.cat([states.fields.flatten(1), states.dense], dim=1)  # [B, F * d + k]
        one, two = (
            stream(2 * torch.sigmoid(gate(states.fields[:, place])) * start)
            for place, (gate, stream) in enumerate(zip(self.gates, self.streams, strict=True))
        )
        parts = [of.unflatten(1, (self.heads, -1)) for of in (one, two)]  # [B, heads, part]
        joined = torch.einsum("bhp,hpq,bhq->b", parts[0], self.bilinear, parts[1])
        return (self.out[0](one) + self.out[1](two)).squeeze(1) + joined


FINAL_MLP = Backbone("finalmlp", "Two gated perceptrons, joined by a bilinear form.", FinalMLP, history=False)
