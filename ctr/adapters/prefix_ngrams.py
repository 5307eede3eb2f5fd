"""Prefix n-grams of codes: what all items under one prefix of a semantic id have in common, learned beside their ids.

Paper:     Singh et al. 2023, "Better Generalization with Semantic IDs" (arXiv 2306.08121); Zheng et al. 2025,
           "Enhancing Embedding Representation Stability in Recommendation Systems with Semantic ID" (arXiv 2504.02137),
           prefix-ngram.
Formula:   (c_1..c_L) -> sum_{n <= N} E[hash(c_1..c_n)],   N = min(L, 3).
Idea:      an item that few have seen shares the embeddings of its prefixes with its like; an id shares nothing.
Differs:   stands beside the item's id, as one more input, and not in its place; codes behind the third are not read: a
           fourth one tells collisions apart and means nothing.
Consumes:  sets of codes.   Produces: [B, 8 a set].
Relations: concat reads the vectors that codes are made of; an embedding is learned here, so that trees read none of it.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from base.plugins import PluginFault
from ctr.adapters.protocol import Adapter, Missing, view_name
from ctr.batch import Known
from ctr.samples import Samples
from ctr.views import View, knowledge_view
from feature_store.vectors import Knowledge

LONGEST = 3
"""Codes of the longest prefix."""
BUCKETS = 2**16
"""Rows of the embedding table; 10,000 items have 20,000 prefixes at most, of which about one in six meets another."""
WIDTH = 8
"""Length of an embedding, that of an id's by default."""
_PRIME, _START = np.uint64(0x100000001B3), np.uint64(0xCBF29CE484222325)


def hash_prefixes(codes: np.ndarray, buckets: int) -> np.ndarray:
    """Give every prefix a bucket (FNV-1a, a code at a time, its halves folded).

    Args:
        codes: [M, N] integers, 0 or more.
        buckets: Number of buckets.

    Returns:
        [M, N] int64: the bucket of the first code, of the first two, and so on.
    """
    out = np.zeros(codes.shape, dtype=np.int64)
    state = np.full(len(codes), _START)
    for place, code in enumerate(codes.T):
        state = (state ^ code.astype(np.uint64)) * _PRIME  # wraps around, as it should
        out[:, place] = (state ^ (state >> np.uint64(32))) % np.uint64(buckets)
    return out


def prepare(knowledge: Sequence[Knowledge], samples: Samples, folds: int) -> dict[str, View]:
    """Look the buckets up, as of each sample's time.

    Raises:
        PluginFault: There are vectors among the codes.
    """
    views: dict[str, View] = {}
    if wrong := [view_name(one) for one in knowledge if one.vectors.dtype.kind != "i"]:
        fix = 'name sets of codes instead: Use("prefix_ngrams", codes=("rqvae",))'
        raise PluginFault(f"adapter prefix_ngrams reads codes, not vectors: {', '.join(wrong)}\n  {fix}")
    for codes in knowledge:
        seen = knowledge_view(codes, samples)
        views[view_name(codes)] = View(hash_prefixes(codes.vectors[:, :LONGEST], BUCKETS), seen.rows)
    return views


class PrefixNgrams(nn.Module):
    """Sums the embeddings of an item's prefixes; a learned vector where it has no codes.

    Args:
        widths: View -> prefixes of an item; each view has a table of its own.
        buckets: Rows of a table.
        width: Length of an embedding.
    """

    def __init__(self, widths: Mapping[str, int], buckets: int, width: int) -> None:
        super().__init__()
        self.names = tuple(widths)  # beside a list, for a module's own name may hold no dot
        self.tables = nn.ModuleList(nn.Embedding(buckets, width) for _ in widths)
        self.missing = nn.ModuleList(Missing(width) for _ in widths)
        self.width = width * len(widths)
        for table in self.tables.parameters():
            nn.init.normal_(table, std=0.01)  # as ids: a prefix that training never meets adds next to nothing

    def forward(self, views: Mapping[str, Known]) -> Tensor:
        """Buckets [B, N] and mask [B] of every view -> [B, width]."""
        summed = []
        for name, table, missing in zip(self.names, self.tables, self.missing, strict=True):
            buckets, there = views[name]
            summed.append(missing((table(buckets).sum(dim=1), there)))
        return torch.cat(summed, dim=1)


def build(widths: Mapping[str, int]) -> PrefixNgrams:
    """Make the module."""
    return PrefixNgrams(widths, BUCKETS, WIDTH)


ADAPTER = Adapter("prefix_ngrams", prepare, build, "what items under one prefix of a semantic id have in common")
