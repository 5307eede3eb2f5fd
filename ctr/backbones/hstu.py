"""HSTU: items and actions of the past as one sequence, with pointwise attention biased by position and time.

Paper:     Zhai et al. 2024, "Actions Speak Louder than Words: Trillion-Parameter Sequential Transducers for Generative
           Recommendations", section 3.2, equations 1 to 3, in the form for ranking (section 2.2, table 1).
Formula:   X = x_0, a_0, x_1, a_1, ..., x_target;   U, V, Q, K = split(silu(W_1 norm(X)));
           A_ij = silu(<Q_i, K_j> + p_{i-j} + t_{bucket(time_i - time_j)}) / n for j <= i, no softmax;
           X <- W_2 (norm(A V) * U) + X;   logit = mlp([fields ; X_target ; dense])
Relations: DIN sums events without an order. n is the full length of the sequence, so that padding changes nothing. The
           state of the item at the target predicts its action; training reads that place alone, not all of them.
"""

import torch
from torch import Tensor, nn

from ctr.backbones.perceptron import perceptron
from ctr.backbones.protocol import Backbone
from ctr.batch import PastStates, States
from ctr.past import PastRule

BUCKETS = 128
LOG_STEP = 0.301
"""Width of a bucket in natural logarithms of seconds, as published."""


class Layer(nn.Module):
    """One layer over sequences of n places.

    Args:
        width: Width of a place, d.
        places: Places of the longest sequence, n.
    """

    def __init__(self, width: int, places: int) -> None:
        super().__init__()
        self.width, self.places = width, places
        self.norm, self.norm_out = nn.LayerNorm(width), nn.LayerNorm(width)
        self.into, self.out = nn.Linear(width, 4 * width), nn.Linear(width, width)
        self.position, self.time = (nn.Parameter(torch.randn(count) * 0.02) for count in (places, BUCKETS))

    def forward(self, places: Tensor, bucket: Tensor, seen: Tensor, last: bool) -> Tensor:
        """Mix places.

        Args:
            places: [B, n, d].
            bucket: [B, n, n] int64: the bucket of the time from place j to place i.
            seen: [B, n, n]: 1 where place i sees place j.
            last: Whether to compute the last place alone.

        Returns:
            [B, n, d], or [B, 1, d].
        """
        gate, value, query, key = nn.functional.silu(self.into(self.norm(places))).chunk(4, dim=-1)  # [B, n, d] each
        back = torch.arange(self.places)[:, None] - torch.arange(self.places)
        begin = self.places - 1 if last else 0
        bias = self.position[back[begin:].clamp(min=0)] + self.time[bucket[:, begin:]]  # [B, n, n]
        score = query[:, begin:] @ key.transpose(1, 2) + bias
        mixed = (nn.functional.silu(score) * seen[:, begin:] / self.places) @ value
        return self.out(self.norm_out(mixed) * gate[:, begin:]) + places[:, begin:]


class HSTU(nn.Module):
    """Scores samples.

    Args:
        fields: Number of fields, F.
        width: Width of an embedding, d.
        dense: Number of dense values, k.
        events: Events of the past, K; the sequence has n = 2 K + 1 places.
        layers: Number of layers.
        hidden: Widths of the perceptron.
    """

    def __init__(
        self,
        fields: int,
        width: int,
        dense: int,
        events: int = 30,
        layers: int = 2,
        hidden: tuple[int, ...] = (128, 64),
    ) -> None:
        super().__init__()
        self.action = nn.Linear(1, width)
        self.layers = nn.ModuleList(Layer(width, 2 * events + 1) for _ in range(layers))
        self.deep = perceptron((fields + 1) * width + dense, hidden)
        self.out = nn.Linear(hidden[-1], 1)

    def forward(self, states: States) -> Tensor:
        """Score samples: [B, F, d], [B, K, d] and [B, k] -> logits [B]."""
        assert states.past is not None  # `SEQUENCE.past` asks for it
        places, bucket, seen = self.sequence(states.target, states.past)
        for number, layer in enumerate(self.layers, start=1):
            places = layer(places, bucket, seen, last=number == len(self.layers))
        start = torch.cat([states.fields.flatten(1), places[:, -1], states.dense], dim=1)
        return self.out(self.deep(start)).squeeze(1)

    def sequence(self, target: Tensor, past: PastStates) -> tuple[Tensor, Tensor, Tensor]:
        """Lay out items and actions, oldest first, then the target: [B, n, d], and `bucket` and `seen` of `Layer`."""
        pairs = torch.stack([past.events, self.action(past.rating.unsqueeze(-1))], dim=2)  # [B, K, 2, d]
        places = torch.cat([pairs.flatten(1, 2), target.unsqueeze(1)], dim=1)
        age = nn.functional.pad(past.age, (0, 1))  # [B, K + 1], of the target 0
        bucket = time_bucket(age[:, None, :] - age[:, :, None])  # an item and its action have one time
        twice = torch.arange(places.shape[1]) // 2
        there = nn.functional.pad(past.mask, (0, 1), value=1.0)[:, twice]  # [B, n]
        causal = torch.ones(len(twice), len(twice)).tril()
        return places, bucket[:, twice][:, :, twice], causal * there[:, None, :]


def time_bucket(seconds: Tensor) -> Tensor:
    """Return the bucket of a duration: [...] int64 -> [...] int64.

    Example:
        >>> time_bucket(torch.tensor([0, 1, 2, 60, 86_400])).tolist()
        [0, 0, 2, 13, 37]
    """
    return (seconds.clamp(min=1).double().log() / LOG_STEP).long().clamp(max=BUCKETS - 1)


SEQUENCE = Backbone(
    "hstu", "Items and actions as one sequence, with pointwise attention.", HSTU, past=PastRule(30), history=False
)
