"""DIN: the history pooled by the relevance of each event to the target.

Paper:     Zhou et al. 2018, "Deep Interest Network for Click-Through Rate Prediction", section 4.3, equation 3.
Formula:   weight_h = attention([e_h ; e_t ; e_h * e_t ; e_h - e_t ; rating_h]), not normalised;
           interest = sum_h weight_h e_h;   logit = mlp([fields ; interest ; dense])
Relations: the other backbones pool the history by age alone. We add the rating of each event; the paper has clicks.
"""

import torch
from torch import Tensor, nn

from ctr.backbones.perceptron import perceptron
from ctr.backbones.protocol import Backbone
from ctr.batch import States


class DIN(nn.Module):
    """Scores samples.

    Args:
        fields: Number of fields, F.
        width: Width of an embedding, d.
        dense: Number of dense values, k.
        attention: Width of the attention's hidden layer.
        hidden: Widths of the perceptron.
    """

    def __init__(
        self, fields: int, width: int, dense: int, attention: int = 16, hidden: tuple[int, ...] = (128, 64)
    ) -> None:
        super().__init__()
        self.attention = nn.Sequential(perceptron(4 * width + 1, (attention,)), nn.Linear(attention, 1))
        self.deep = perceptron((fields + 1) * width + dense, hidden)
        self.out = nn.Linear(hidden[-1], 1)

    def forward(self, states: States) -> Tensor:
        """Score samples: [B, F, d], [B, H, d] and [B, k] -> logits [B]."""
        history, target = states.history, states.target.unsqueeze(1).expand_as(states.history)  # [B, H, d]
        pair = torch.cat(
            [history, target, history * target, history - target, states.history_rating.unsqueeze(-1)], dim=-1
        )
        weight = self.attention(pair).squeeze(-1) * states.history_mask  # [B, H]
        interest = torch.einsum("bh,bhd->bd", weight, history)
        start = torch.cat([states.fields.flatten(1), interest, states.dense], dim=1)
        return self.out(self.deep(start)).squeeze(1)


DEEP_INTEREST = Backbone("din", "The history pooled by the relevance of each event to the target.", DIN)
