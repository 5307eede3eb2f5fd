"""SIM: of 1,000 events, those that share a category with the target, pooled by attention that knows their age.

Paper:     Pi et al. 2020, "Search-based User Interest Modeling with Lifelong Sequential Behavior Data for
           Click-Through Rate Prediction", sections 3.2 (hard search) and 3.3, equations 3 and 4.
Formula:   found = the newest 50 of the newest 1,000 strictly earlier events that share a category with the target;
           z_h = [e_h ; t(age_h) ; rating_h];   a_h = softmax_h <W_i z_h, V_i e_t> for head i;
           interest = [sum_h a_h z_h, head by head];   logit = mlp([fields ; interest ; dense])
Relations: DIN attends over the short history. An item with several categories finds events of any of them; without a
           found event the interest is 0. We add the rating of each event, as in DIN.
"""

import torch
from torch import Tensor, nn

from ctr.backbones.perceptron import perceptron
from ctr.backbones.protocol import Backbone
from ctr.batch import PastStates, States
from ctr.past import PastRule

AGES = 32
"""Buckets of ages: powers of two of a second, so that the last ones are more than a century."""


class Found(nn.Module):
    """Pools the events that were found, by multi-head attention of the target.

    Args:
        width: Width of an embedding, d.
        heads: Number of heads.
        ages: Width of an age's embedding.
        size: Width of the space in which events and target are compared.
    """

    def __init__(self, width: int, heads: int, ages: int, size: int) -> None:
        super().__init__()
        self.heads, self.width = heads, heads * (width + ages + 1)
        self.age = nn.Embedding(AGES, ages)
        self.event = nn.Linear(width + ages + 1, heads * size, bias=False)
        self.target = nn.Linear(width, heads * size, bias=False)

    def forward(self, target: Tensor, past: PastStates) -> Tensor:
        """Pool events: [B, d] and K events of each -> [B, width]."""
        events = torch.cat([past.events, self.age(age_bucket(past.age, AGES)), past.rating.unsqueeze(-1)], dim=-1)
        keys = self.event(events).unflatten(-1, (self.heads, -1))  # [B, K, heads, size]
        wanted = self.target(target).unflatten(-1, (self.heads, -1))  # [B, heads, size]
        there = past.mask.unsqueeze(1)  # [B, 1, K]
        score = torch.einsum("bkhs,bhs->bhk", keys, wanted).masked_fill(there == 0, -1e9)
        weight = torch.softmax(score, dim=-1) * there  # all 0 where nothing was found
        return (weight @ events).flatten(1)


class SIM(nn.Module):
    """Scores samples.

    Args:
        fields: Number of fields, F.
        width: Width of an embedding, d.
        dense: Number of dense values, k.
        heads: Heads of the attention.
        ages: Width of an age's embedding.
        size: Width of the space in which events and target are compared.
        hidden: Widths of the perceptron.
    """

    def __init__(
        self,
        fields: int,
        width: int,
        dense: int,
        heads: int = 2,
        ages: int = 4,
        size: int = 8,
        hidden: tuple[int, ...] = (128, 64),
    ) -> None:
        super().__init__()
        self.found = Found(width, heads, ages, size)
        self.deep = perceptron(fields * width + self.found.width + dense, hidden)
        self.out = nn.Linear(hidden[-1], 1)

    def forward(self, states: States) -> Tensor:
        """Score samples: [B, F, d], [B, K, d] and [B, k] -> logits [B]."""
        assert states.past is not None  # `LONG_HISTORY.past` asks for it
        interest = self.found(states.target, states.past)
        start = torch.cat([states.fields.flatten(1), interest, states.dense], dim=1)
        return self.out(self.deep(start)).squeeze(1)


def age_bucket(seconds: Tensor, buckets: int) -> Tensor:
    """Return floor(log2(seconds)), at least 0 and below `buckets`: int64 -> int64 of the same shape.

    Example:
        >>> age_bucket(torch.tensor([0, 1, 3, 4, 2**40]), 32).tolist()
        [0, 0, 1, 2, 31]
    """
    return seconds.clamp(min=1).double().log2().floor().long().clamp(max=buckets - 1)


LONG_HISTORY = Backbone(
    "sim",
    "The events of 1,000 that share the item's category, by relevance and age.",
    SIM,
    past=PastRule(1000, 50),
    history=False,
)
