"""TIGER: the codes of the next item, generated one by one by an encoder-decoder over the codes of the history.

Paper:     Rajput et al. 2023, "Recommender Systems with Generative Retrieval" (arXiv 2305.05065).
Formula:   p(item | history) = prod_l p(c_l | c_1..c_{l-1}, encoder(user token, codes of the history, oldest first));
           loss = cross-entropy of the next item's codes, a mean over levels; the best items by beam search.
Differs:   a trie of existing codes constrains the beam, so that every beam is a real item (the paper drops invalid
           ids); learned positions instead of T5's relative ones; each level has a softmax over its own codes.
Consumes:  training events with label 1, and a released set of codes of items, unique to each item.
Relations: `rqvae` makes the codes; `sasrec` learns one vector per item instead, so items without events stay unknown.
Example:   knowflow eval recommend --model tiger
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from base.faults import WrongUse
from base.frozen import Frozen
from base.progress import Progress
from recommenders.log import Log, Requests
from recommenders.protocol import Context, Ranked, Recommender, State
from recommenders.ranking import rank_all

AT_ONCE = 64
"""Requests searched together; 50 beams of 80 positions then take 65 MB per layer."""


class TigerOptions(Frozen):
    """Options of TIGER."""

    codes: str = "rqvae"
    """Name of a released set of codes of items."""
    users: int = Field(default=2000, ge=1)
    """Number of user tokens that users are hashed into."""
    length: int = Field(default=20, ge=1)
    """Newest events of a history to use."""
    dimension: int = Field(default=64, ge=1)
    """Length of an embedding; a multiple of `heads`."""
    layers: int = Field(default=2, ge=1)
    """Layers of the encoder, and of the decoder."""
    heads: int = Field(default=4, ge=1)
    """Attention heads."""
    dropout: float = Field(default=0.1, ge=0, lt=1)
    """Dropout rate."""
    epochs: int = Field(default=10, ge=1)
    """Passes over the liked events."""
    batch: int = Field(default=256, ge=1)
    """Events per step."""
    learning_rate: float = Field(default=1e-3, gt=0)
    """Step size of Adam."""
    beams: int = Field(default=50, ge=1)
    """Maximum items found by a search; items that the user had are then removed."""


class Trie:
    """The existing ids, level by level: a node is a prefix of some item's codes.

    Args:
        codes: [I, L] integers; rows with -1 are items without codes.
        sizes: Codes per level.

    Raises:
        WrongUse: Two items have the same codes, or no item has codes.
    """

    def __init__(self, codes: np.ndarray, sizes: Sequence[int]) -> None:
        known = np.flatnonzero((codes >= 0).all(axis=1))
        if not len(known):
            why = "no items have codes that were known before the first request"
            raise WrongUse(f"tiger: {why}\n  make codes from earlier vectors: knowflow codes --help")
        self.children: list[Tensor] = []  # of each level: [nodes, size] int64, the node below, -1 = none
        node, nodes = np.zeros(len(known), dtype=np.int64), 1
        for level, size in enumerate(sizes):
            prefixes, below = np.unique(node * size + codes[known, level], return_inverse=True)
            table = np.full(nodes * size, -1, dtype=np.int64)
            table[prefixes] = np.arange(len(prefixes))
            self.children.append(torch.from_numpy(table.reshape(nodes, size)))
            node, nodes = below.ravel(), len(prefixes)
        if nodes < len(known):
            alike = f"{len(known) - nodes:,} items have the codes of another"
            raise WrongUse(f"tiger: {alike}\n  use a set whose last code makes them unique: --set tiger.codes=rqvae")
        self.item = torch.zeros(nodes, dtype=torch.int64)  # index of each leaf's item
        self.item[torch.from_numpy(node)] = torch.from_numpy(known)


class Net(nn.Module):
    """The network; tokens are the codes of each level, then the start token and the padding.

    Args:
        sizes: Codes per level.
        users: User tokens.
        length: Events of a history.
        dimension: Length of an embedding d.
        layers: Layers of the encoder, and of the decoder.
        heads: Attention heads.
        dropout: Dropout rate.
    """

    def __init__(
        self, sizes: Sequence[int], users: int, length: int, dimension: int, layers: int, heads: int, dropout: float
    ) -> None:
        super().__init__()
        self.first = np.concatenate([[0], np.cumsum(sizes)]).tolist()  # token of each level's code 0
        self.start, self.padding = self.first[-1], self.first[-1] + 1
        self.token, self.user = nn.Embedding(self.padding + 1, dimension), nn.Embedding(users, dimension)
        self.place, self.level = nn.Embedding(length * len(sizes), dimension), nn.Embedding(len(sizes), dimension)
        shape = {"dim_feedforward": 4 * dimension, "dropout": dropout, "batch_first": True, "norm_first": True}
        norms = [nn.LayerNorm(dimension), nn.LayerNorm(dimension)]
        self.encoder = nn.TransformerEncoder(
            nn.TransformerEncoderLayer(dimension, heads, **shape), layers, norms[0], enable_nested_tensor=False
        )
        self.decoder = nn.TransformerDecoder(nn.TransformerDecoderLayer(dimension, heads, **shape), layers, norms[1])
        for embedding in (self.token, self.user, self.place, self.level):
            nn.init.normal_(embedding.weight, std=dimension**-0.5)

    def encode(self, user: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Encode user tokens [B] and history tokens [B, S] -> states [B, 1 + S, d] and padding mask [B, 1 + S]."""
        padding = functional.pad(tokens == self.padding, (1, 0), value=False)
        states = torch.cat([self.user(user)[:, None], self.token(tokens) + self.place.weight[-tokens.shape[1] :]], 1)
        return self.encoder(states, src_key_padding_mask=padding), padding

    def decode(self, memory: Tensor, padding: Tensor, given: Tensor) -> list[Tensor]:
        """Return the logits up to the first level not given: tokens [B, n] -> n + 1 tensors [B, size], or L."""
        count = min(given.shape[1] + 1, len(self.first) - 1)
        begun = functional.pad(given, (1, 0), value=self.start)[:, :count]
        causal = torch.ones(count, count, dtype=torch.bool).triu(1)
        states = self.token(begun) + self.level.weight[:count]
        states = self.decoder(states, memory, tgt_mask=causal, memory_key_padding_mask=padding)
        weight = self.token.weight
        return [states[:, at] @ weight[self.first[at] : self.first[at + 1]].T for at in range(count)]

    def loss(self, user: Tensor, tokens: Tensor, target: Tensor) -> Tensor:
        """Return the cross-entropy of the next items' codes [B, L], a mean over levels."""
        given = target + torch.tensor(self.first[:-1])
        levels = self.decode(*self.encode(user, tokens), given)
        return torch.stack([functional.cross_entropy(one, target[:, at]) for at, one in enumerate(levels)]).mean()


def search(net: Net, trie: Trie, user: Tensor, tokens: Tensor, beams: int) -> tuple[Tensor, Tensor]:
    """Find the most likely items by beam search along the trie.

    Returns:
        Indices of items and log-probabilities, [B, W] each, the best first; -inf where there are fewer than W items.
    """
    memory, padding = net.encode(user, tokens)
    node = torch.zeros(len(user), 1, dtype=torch.int64)
    score, given = torch.zeros(len(user), 1), torch.zeros(len(user), 1, 0, dtype=torch.int64)
    for level, children in enumerate(trie.children):
        width, size = node.shape[1], children.shape[1]
        of_beams = (memory.repeat_interleave(width, 0), padding.repeat_interleave(width, 0), given.flatten(0, 1))
        likely = net.decode(*of_beams)[level].log_softmax(1).view(len(user), width, size)
        below = children[node]  # [B, W, size]
        total = (score[:, :, None] + likely).masked_fill(below < 0, -torch.inf).flatten(1)
        score, best = total.topk(min(beams, total.shape[1]), dim=1)
        node = below.flatten(1).gather(1, best).clamp(min=0)  # a dead beam stays dead: its score is -inf
        before = given.gather(1, (best // size)[:, :, None].expand(-1, -1, level))
        given = torch.cat([before, (best % size + net.first[level])[:, :, None]], dim=2)
    return trie.item[node], score


def examples(log: Log, length: int, known: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the liked events of items with codes and their liked histories: users [E], items [E], [E, length].

    Args:
        log: The training events.
        length: Events of a history; -1 where there are fewer.
        known: [I] bool, which items have codes.
    """
    liked = log.where((log.label == 1) & known[log.item])
    order = np.argsort(liked.user, kind="stable")  # the log is in order of time
    user, item = liked.user[order], liked.item[order]
    begins = np.searchsorted(user, user)
    at = np.arange(len(user))[:, None] - np.arange(length, 0, -1)
    return user, item, np.where(at >= begins[:, None], item[at], -1)


@dataclass(frozen=True)
class Tiger:
    """A trained network and the ids that it may generate."""

    net: Net
    """In evaluation mode."""
    codes: np.ndarray
    """[I, L] int32, -1 where an item has none."""
    trie: Trie
    """The trie of these codes."""
    options: TigerOptions
    """Its options."""

    def tokens(self, places: np.ndarray) -> Tensor:
        """Return the tokens of histories: item indices [B, H], -1 = none -> [B, H L]."""
        table = np.where(self.codes >= 0, self.codes + np.array(self.net.first[:-1]), self.net.padding)
        none = np.full((1, table.shape[1]), self.net.padding)
        return torch.from_numpy(np.concatenate([table, none])[places].reshape(len(places), -1))

    def recommend(self, requests: Requests, k: int) -> Ranked:
        """Recommend the items that the search finds, without those that the user had."""
        return rank_all(self._scores, requests, k)

    def _scores(self, requests: Requests) -> np.ndarray:
        """[B, I], -inf for items not found by any beam."""
        liked = requests.liked()
        places = np.concatenate([liked.past.item, [-1]])[liked.newest(self.options.length)]
        user, tokens = hashed(requests.user, self.options.users), self.tokens(places)
        scores = torch.full((len(requests), len(self.codes)), -torch.inf)
        with torch.inference_mode():
            for rows in torch.arange(len(requests)).split(AT_ONCE):
                item, score = search(self.net, self.trie, user[rows], tokens[rows], self.options.beams)
                found = score > -torch.inf
                scores[rows[:, None].expand_as(item)[found], item[found]] = score[found]
        return scores.numpy()

    def state(self) -> State:
        """Return the weights and the codes."""
        return State({name: one.numpy() for name, one in self.net.state_dict().items()} | {"codes": self.codes}, {})


def hashed(users: np.ndarray, count: int) -> Tensor:
    """Return user tokens, the same in every process: [B] str -> [B] int64."""
    return torch.tensor([zlib.crc32(str(user).encode()) % count for user in users], dtype=torch.int64)


def build(codes: np.ndarray, options: TigerOptions) -> Tiger:
    """Build an untrained model from the codes of all items."""
    sizes, of = (codes.max(axis=0) + 1).tolist(), options
    net = Net(sizes, of.users, of.length, of.dimension, of.layers, of.heads, of.dropout)
    return Tiger(net, codes, Trie(codes, sizes), options)


def fit(context: Context, options: TigerOptions) -> Tiger:
    """Train on the liked training events."""
    with torch.random.fork_rng():
        torch.manual_seed(context.seed)
        model = build(context.codes(options.codes), options)
        train(model, context.log, context.progress)
    return model


def train(model: Tiger, log: Log, progress: Progress) -> None:
    """Fit the network; torch's current seed sets the order."""
    options, net = model.options, model.net
    known = np.all(model.codes >= 0, axis=1)
    user, item, past = examples(log, options.length, np.asarray(known))
    users, target = hashed(user, options.users), torch.from_numpy(model.codes[item].astype(np.int64))
    optimizer = torch.optim.Adam(net.parameters(), options.learning_rate)
    net.train()
    for epoch in range(options.epochs):
        progress("tiger epochs", epoch, options.epochs)
        for rows in torch.randperm(len(item)).split(options.batch):
            loss = net.loss(users[rows], model.tokens(past[rows.numpy()]), target[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    progress("tiger epochs", options.epochs, options.epochs)
    net.eval()


def load(state: State, options: TigerOptions) -> Tiger:
    """Restore a saved model."""
    model = build(state.arrays["codes"], options)
    weights = {name: torch.from_numpy(one) for name, one in state.arrays.items() if name != "codes"}
    model.net.load_state_dict(weights)
    model.net.eval()
    return model


TIGER = Recommender("tiger", "writes the codes of the next item, beam search along a trie", TigerOptions, fit, load)
