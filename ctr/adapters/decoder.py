"""A small causal transformer decoder: each position attends to itself and to earlier positions, never to later ones.

Paper:     Touvron et al. 2023, "LLaMA: Open and Efficient Foundation Language Models", section 2.2.
Formula:   a = x + W_o attention(rope(W_q n), rope(W_k n), W_v n), n = norm(x);
           y = a + W_2 (silu(W_1 m) * W_3 m), m = norm(a);   norm(x) = g * x / sqrt(mean(x^2) + eps)
Relations: in_context uses it; this file is independent of examples and clicks.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

BASE = 10_000.0
"""Base of the rotary angles (Su et al. 2021, "RoFormer", section 3.3)."""
EPSILON = 1e-6


def rotation(length: int, width: int) -> Tensor:
    """Return the unit complex numbers of rotary embedding: position t turns pair j by the angle t / BASE^(2j / width).

    Args:
        length: Number of positions, T.
        width: Width of a head, even; its numbers 2j and 2j + 1 are pair j, one complex number.

    Returns:
        [T, width / 2] complex64.
    """
    angle = torch.outer(torch.arange(length), BASE ** (-torch.arange(0, width, 2) / width))
    return torch.polar(torch.ones_like(angle), angle)


def rotate(states: Tensor, turn: Tensor) -> Tensor:
    """Rotate queries or keys: [B, T, heads, width] and [T, width / 2] complex -> [B, T, heads, width]."""
    pairs = torch.view_as_complex(states.unflatten(-1, (-1, 2)))  # [B, T, heads, width / 2]
    return torch.view_as_real(pairs * turn.unsqueeze(1)).flatten(-2)


class Attention(nn.Module):
    """Causal self-attention with rotary positions.

    Args:
        width: Width of a position, D.
        heads: Number of heads.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value, self.out = (nn.Linear(width, width, bias=False) for _ in range(4))

    def forward(self, states: Tensor, turn: Tensor, read: slice) -> Tensor:
        """Attend from the positions `read` to all positions up to their own: [B, T, D] -> [B, P, D]."""
        query = rotate(self._heads(self.query(states[:, read])), turn[read])  # [B, P, heads, D / heads]
        key, value = rotate(self._heads(self.key(states)), turn), self._heads(self.value(states))
        query, key, value = (one.transpose(1, 2) for one in (query, key, value))  # [B, heads, P or T, D / heads]
        if query.shape[2] == key.shape[2]:
            seen = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        else:
            until = torch.ones(len(turn), len(turn), dtype=torch.bool).tril()[read]  # [P, T]
            seen = functional.scaled_dot_product_attention(query, key, value, until)
        return self.out(seen.transpose(1, 2).flatten(2))

    def _heads(self, states: Tensor) -> Tensor:
        return states.unflatten(-1, (self.heads, -1))


class SwiGLU(nn.Module):
    """A gated perceptron (Shazeer 2020, "GLU Variants Improve Transformer", equation 6).

    Args:
        width: Width of a position, D.
        hidden: Width of the hidden layer.
    """

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.gate, self.value = nn.Linear(width, hidden, bias=False), nn.Linear(width, hidden, bias=False)
        self.out = nn.Linear(hidden, width, bias=False)

    def forward(self, states: Tensor) -> Tensor:
        """Apply the perceptron: [B, P, D] -> [B, P, D]."""
        return self.out(functional.silu(self.gate(states)) * self.value(states))


class Layer(nn.Module):
    """One layer: attention, then the gated perceptron, each on normalised states with a residual connection.

    Args:
        width: Width of a position, D.
        heads: Number of heads.
        hidden: Width of the perceptron's hidden layer.
    """

    def __init__(self, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.before_attention, self.attention = nn.RMSNorm(width, EPSILON), Attention(width, heads)
        self.before_perceptron, self.perceptron = nn.RMSNorm(width, EPSILON), SwiGLU(width, hidden)

    def forward(self, states: Tensor, turn: Tensor, read: slice) -> Tensor:
        """Apply the layer: [B, T, D] -> [B, P, D]."""
        attended = states[:, read] + self.attention(self.before_attention(states), turn, read)
        return attended + self.perceptron(self.before_perceptron(attended))


class Decoder(nn.Module):
    """The decoder.

    Args:
        length: Number of positions, T.
        width: Width of a position, D.
        layers: Number of layers.
        heads: Number of heads, each of an even width.
        hidden: Width of the perceptrons' hidden layers.
    """

    turn: Tensor

    def __init__(self, length: int, width: int = 32, layers: int = 2, heads: int = 2, hidden: int = 64) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Layer(width, heads, hidden) for _ in range(layers))
        self.norm = nn.RMSNorm(width, EPSILON)
        self.register_buffer("turn", rotation(length, width // heads), persistent=False)

    def forward(self, tokens: Tensor, read: slice) -> Tensor:
        """Return the hidden states of some positions.

        Args:
            tokens: [B, T, D].
            read: The P positions; the last layer is computed only for them, with the same result.

        Returns:
            [B, P, D].
        """
        states, everything = tokens, slice(None)
        for place, layer in enumerate(self.layers, start=1):
            states = layer(states, self.turn, read if place == len(self.layers) else everything)
        return self.norm(states)
