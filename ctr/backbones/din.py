"""DIN: the history pooled by the relevance of each event to the target.

Paper:     Zhou et al. 2018, "Deep Interest Network for Click-Through Rate Prediction", section 4.3, equation 3.
Formula:   weight_h = attention([e_h ; e_t ; e_h * e_t ; e_h - e_t ; rating_h]), not normalised;
           interest = sum_h weight_h e_h;   logit = mlp([fields ; interest ; dense])
Relations: the other backbones pool the history by age alone. We add the rating of each event; the paper has clicks.
"""

from typing import cast

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
        hidden = self.pairs(states.target, states.history, states.history_rating)  # [B, H, attention]
        weight = self.attention[1](hidden.relu()).squeeze(-1) * states.history_mask  # [B, H]
        interest = (weight.unsqueeze(1) @ states.history).squeeze(1)
        start = torch.cat([states.fields.flatten(1), interest, states.dense], dim=1)
        return self.out(self.deep(start)).squeeze(1)

    def pairs(self, target: Tensor, history: Tensor, rating: Tensor) -> Tensor:
        """Apply the first linear layer to [e_h ; e_t ; e_h * e_t ; e_h - e_t ; rating_h] without making these vectors.

        The layer's weights on e_h, the products and the differences add up to one matrix per sample, because the
        target is the same for all its events: a quarter of the sums, and no [B, H, 4d].

        Args:
            target: [B, d].
            history: [B, H, d].
            rating: [B, H].

        Returns:
            [B, H, attention].
        """
        first, width = cast("nn.Linear", self.attention.get_submodule("0.0")), target.shape[1]
        of_event, of_target, of_product, of_difference, of_rating = first.weight.split([width] * 4 + [1], dim=1)
        of_pair = (of_event + of_difference) + of_product * target.unsqueeze(1)  # [B, attention, d]
        shift = torch.addmm(first.bias, target, (of_target - of_difference).t())  # [B, attention]
        shift = shift.unsqueeze(1) + rating.unsqueeze(-1) * of_rating.squeeze(1)  # [B, H, attention]
        return torch.baddbmm(shift, history, of_pair.transpose(1, 2))


class LiveDIN(nn.Module):
    """The same logits for one user and B targets, with the first layer of the attention taken apart.

    It is linear in [e_h ; e_t ; e_h * e_t ; e_h - e_t ; rating_h]: the part of the history is computed once, that of
    the target once per target, and e_h * e_t becomes a product of the target with a matrix that holds the history. No
    tensor of [B, H, 4 d + 1] is made.

    Args:
        network: The trained network.
    """

    def __init__(self, network: DIN) -> None:
        super().__init__()
        layers = [layer for layer in network.attention.modules() if isinstance(layer, nn.Linear)]
        self.network, (self.first, self.last) = network, layers

    def forward(self, states: States) -> Tensor:
        """Score targets: [B, F, d], [1, H, d] and [B, k] -> logits [B]."""
        history, width = states.history[0], states.target.shape[1]  # [H, d]
        of_history, of_target, of_both, of_difference, of_rating = self.first.weight.split([width] * 4 + [1], dim=1)
        user = history @ (of_history + of_difference).T + states.history_rating[0, :, None] * of_rating[:, 0]  # [H, a]
        target = states.target @ (of_target - of_difference).T + self.first.bias  # [B, a]
        crossed = (history.unsqueeze(1) * of_both).flatten(0, 1)  # [H * a, d]
        both = (states.target @ crossed.T).unflatten(1, user.shape)  # [B, H, a]
        hidden = torch.relu(both + user + target.unsqueeze(1))
        weight = self.last(hidden).squeeze(-1) * states.history_mask  # [B, H]
        start = torch.cat([states.fields.flatten(1), weight @ history, states.dense], dim=1)
        return self.network.out(self.network.deep(start)).squeeze(1)


DEEP_INTEREST = Backbone("din", "The history pooled by the relevance of each event to the target.", DIN, live=LiveDIN)
