"""SASRec: the next item by causal self-attention over liked items, the usual baseline in papers.

Paper:     Kang and McAuley 2018, "Self-Attentive Sequential Recommendation" (arXiv 1808.09781).
Formula:   h_0 = sqrt(d) E[items] + P;   h' = h + Attention(LN(h), causal);   h'' = h' + FFN(LN(h'));
           score of item x = LN(h_last) . e_x;   loss = -log e^{s(next)} / (e^{s(next)} + sum_{n in N} e^{s(n)})
Loss:      the paper draws one negative per positive (binary cross-entropy). Here a softmax of the next item against N
           negatives, by default all items, because Klenitskiy and Vasilev 2023, "Turning Dross Into Gold Loss" (arXiv
           2309.07602), show that the single negative makes SASRec lose to BERT4Rec.
Differs:   items that nobody liked in training cannot be learned; they are neither negatives nor recommended;
           a user's first window begins with a start token, so that a user without history gets a learned list;
           a log longer than a window is split into several windows instead of being dropped.
Consumes:  training events with label 1.
Relations: `cooccurrence` counts what this learns; `star` needs no training.
Example:   knowflow eval recommend --model sasrec
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from base.frozen import Frozen
from base.progress import Progress
from recommenders.log import Log, Requests
from recommenders.protocol import Context, Ranked, Recommender, State
from recommenders.ranking import rank_all


class SASRecOptions(Frozen):
    """Options of SASRec."""

    length: int = Field(default=50, ge=2)
    """Newest events in a window."""
    dimension: int = Field(default=64, ge=1)
    """Length of an item's embedding; a multiple of `heads`."""
    blocks: int = Field(default=2, ge=1)
    """Number of attention and feed-forward blocks."""
    heads: int = Field(default=1, ge=1)
    """Attention heads."""
    dropout: float = Field(default=0.2, ge=0, lt=1)
    """Dropout rate."""
    epochs: int = Field(default=15, ge=1)
    """Passes over the training windows."""
    batch: int = Field(default=32, ge=1)
    """Windows per step."""
    negatives: int | None = Field(default=None, ge=1)
    """Negative items, drawn for every step; by default all items with liked training events."""
    learning_rate: float = Field(default=1e-3, gt=0)
    """Step size of Adam."""


class Block(nn.Module):
    """Attention and feed-forward, each after a norm and with a residual connection.

    Args:
        dimension: Width d.
        heads: Attention heads.
        dropout: Dropout rate.
    """

    def __init__(self, dimension: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.rate = heads, dropout
        self.norm, self.norm_forward = nn.LayerNorm(dimension), nn.LayerNorm(dimension)
        self.project, self.out = nn.Linear(dimension, 3 * dimension), nn.Linear(dimension, dimension)
        self.inner, self.outer = nn.Linear(dimension, dimension), nn.Linear(dimension, dimension)
        self.drop = nn.Dropout(dropout)

    def forward(self, states: Tensor, sees: Tensor) -> Tensor:
        """Apply the block: states [B, L, d] and attention mask [B, 1, L, L] bool -> [B, L, d]."""
        batch, length, dimension = states.shape
        parts = self.project(self.norm(states)).view(batch, length, 3, self.heads, dimension // self.heads)
        query, key, value = parts.permute(2, 0, 3, 1, 4)  # each [B, H, L, d / H]
        rate = self.rate if self.training else 0.0
        seen = functional.scaled_dot_product_attention(query, key, value, attn_mask=sees, dropout_p=rate)
        states = states + self.drop(self.out(seen.transpose(1, 2).reshape(batch, length, dimension)))
        return states + self.drop(self.outer(self.drop(functional.relu(self.inner(self.norm_forward(states))))))


class Net(nn.Module):
    """The network; item `items` is the start, `items + 1` the padding on the left.

    Args:
        items: Items I.
        length: Longest window L.
        dimension: Width d.
        blocks: Number of blocks.
        heads: Attention heads.
        dropout: Dropout rate.
    """

    def __init__(self, items: int, length: int, dimension: int, blocks: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.items = items
        self.known: Tensor
        self.register_buffer("known", torch.arange(items))  # indices of the items that can be recommended
        self.embed = nn.Embedding(items + 2, dimension, padding_idx=items + 1)
        self.place = nn.Embedding(length, dimension)
        self.blocks = nn.ModuleList(Block(dimension, heads, dropout) for _ in range(blocks))
        self.norm, self.drop = nn.LayerNorm(dimension), nn.Dropout(dropout)
        for embedding in (self.embed, self.place):
            nn.init.normal_(embedding.weight, std=dimension**-0.5)

    def forward(self, windows: Tensor) -> Tensor:
        """Return the states of item indices: [B, L], the newest last -> [B, L, d]."""
        length = windows.shape[1]
        states = self.embed(windows) * self.embed.embedding_dim**0.5 + self.place.weight[-length:]
        causal = torch.ones(length, length, dtype=torch.bool).tril()
        there = (windows != self.items + 1)[:, None, None, :]
        # Padding attends to itself, because a fully masked row has no softmax.
        sees = (causal & there) | torch.eye(length, dtype=torch.bool)  # [B, 1, L, L]
        states = self.drop(states)
        for block in self.blocks:
            states = block(states, sees)
        return self.norm(states)

    def logits(self, states: Tensor) -> Tensor:
        """Return scores of the K items that can be recommended: [..., d] -> [..., K]."""
        return states @ self.embed(self.known).T


def windows_of(log: Log, items: int, length: int) -> np.ndarray:
    """Split every user's liked events into windows, full ones at the end: [W, length + 1] int64.

    A window has inputs and, shifted by one position, targets; the first window of a user begins with the start token.
    Shorter windows have padding on the left.
    """
    liked = log.where(log.label == 1)
    _, user = np.unique(liked.user, return_inverse=True)
    order = np.argsort(user, kind="stable")  # the log is in order of time
    out = []
    for events in np.split(liked.item[order], np.flatnonzero(np.diff(user[order])) + 1):
        line = np.concatenate([[items], events])
        for end in range(len(line), 1, -length):
            window = line[max(0, end - length - 1) : end]
            out.append(np.pad(window, (length + 1 - len(window), 0), constant_values=items + 1))
    return np.stack(out) if out else np.zeros((0, length + 1), dtype=np.int64)


def train(net: Net, windows: np.ndarray, options: SASRecOptions, seed: int, progress: Progress) -> None:
    """Fit the network to separate the next item from negatives."""
    optimizer = torch.optim.Adam(net.parameters(), options.learning_rate, betas=(0.9, 0.98))
    chance = np.random.default_rng(seed)
    net.train()
    for epoch in range(options.epochs):
        progress("sasrec epochs", epoch, options.epochs)
        for rows in _batches(chance.permutation(len(windows)), options.batch):
            drawn = chance.permutation(len(net.known))[: options.negatives]
            loss = next_item_loss(net, torch.from_numpy(windows[rows]), net.known[torch.from_numpy(drawn)])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    progress("sasrec epochs", options.epochs, options.epochs)
    net.eval()


def next_item_loss(net: Net, windows: Tensor, negatives: Tensor) -> Tensor:
    """Return the softmax loss of each next item against negatives, a mean over positions.

    Args:
        net: The network.
        windows: [B, L + 1].
        negatives: [N] item indices; a position's own next item is excluded there.
    """
    inputs, targets = windows[:, :-1], windows[:, 1:]
    asked = targets < net.items
    states, goal = net(inputs)[asked], targets[asked]  # [T, d], [T]
    own = (states * net.embed(goal)).sum(dim=1, keepdim=True)
    others = (states @ net.embed(negatives).T).masked_fill(negatives == goal[:, None], -torch.inf)
    return functional.cross_entropy(torch.cat([own, others], dim=1), torch.zeros_like(goal))


def _batches(order: np.ndarray, size: int) -> Iterator[np.ndarray]:
    return (order[start : start + size] for start in range(0, len(order), size))


@dataclass(frozen=True)
class SASRec:
    """A trained network."""

    net: Net
    """In evaluation mode."""
    length: int
    """Events in a window."""

    def recommend(self, requests: Requests, k: int) -> Ranked:
        """Recommend the items most likely to be liked next."""
        return rank_all(self._scores, requests, k)

    def _scores(self, requests: Requests) -> np.ndarray:
        """[B, I]."""
        liked, items = requests.liked(), self.net.items
        newest = liked.newest(self.length)
        past = np.concatenate([liked.past.item, [items + 1]])  # index -1: padding
        windows = past[newest]
        number = np.diff(liked.start)
        short = np.flatnonzero(number < self.length)
        windows[short, self.length - 1 - number[short]] = items  # start token, before the oldest event
        scores = np.full((len(requests), items), -np.inf, dtype=np.float32)
        with torch.inference_mode():
            scores[:, self.net.known.numpy()] = self.net.logits(self.net(torch.from_numpy(windows))[:, -1]).numpy()
        return scores

    def state(self) -> State:
        """Return the weights."""
        arrays = {name: tensor.numpy() for name, tensor in self.net.state_dict().items()}
        return State(arrays, {"items": self.net.items})


def build(items: int, known: np.ndarray, options: SASRecOptions) -> Net:
    """Build the network; `known` are the indices of the items that can be recommended."""
    net = Net(items, options.length, options.dimension, options.blocks, options.heads, options.dropout)
    net.known = torch.from_numpy(known)
    return net


def fit(context: Context, options: SASRecOptions) -> SASRec:
    """Train on the liked training events."""
    items = len(context.items)
    with torch.random.fork_rng():
        torch.manual_seed(context.seed)
        net = build(items, np.unique(context.log.item[context.log.label == 1]), options)
        train(net, windows_of(context.log, items, options.length), options, context.seed, context.progress)
    return SASRec(net, options.length)


def load(state: State, options: SASRecOptions) -> SASRec:
    """Restore a saved model."""
    net = build(state.facts["items"], state.arrays["known"], options)
    net.load_state_dict({name: torch.from_numpy(array) for name, array in state.arrays.items()})
    return SASRec(net.eval(), options.length)


SASREC = Recommender("sasrec", "causal self-attention over liked items, next item", SASRecOptions, fit, load)
