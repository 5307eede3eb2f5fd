"""Prefix n-grams of codes: embeddings shared by all items with the same prefix of a semantic id, in addition to ids.

Paper:     Singh et al. 2023, "Better Generalization with Semantic IDs" (arXiv 2306.08121); Zheng et al. 2025,
           "Enhancing Embedding Representation Stability in Recommendation Systems with Semantic ID" (arXiv 2504.02137),
           prefix-ngram.
Formula:   (c_1..c_L) -> sum_{n <= N} E[hash(c_1..c_n)],   N = min(L, 3).
Idea:      a rarely seen item shares the embeddings of its prefixes with similar items; an id shares nothing.
Differs:   one more input in addition to the item's id, instead of replacing it; codes after the third are not read: a
           fourth one only separates collisions and has no meaning.
Consumes:  sets of codes.   Produces: [B, 8 per set].
Relations: concat reads the vectors behind the codes; the embeddings here are learned, so trees do not read them.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from base.plugins import PluginFault
from ctr.adapters.protocol import Adapter, Missing, view_name
from ctr.batch import Known
from ctr.samples import Samples
from ctr.serving.sides import by_side
from ctr.views import View, knowledge_view
from feature_store.vectors import Knowledge

LONGEST = 3
"""Codes of the longest prefix."""
BUCKETS = 2**16
"""Rows of the embedding table; 10,000 items have at most 20,000 prefixes, of which about one in six collides."""
WIDTH = 8
"""Length of an embedding; equal to an id's by default."""
_PRIME, _START = np.uint64(0x100000001B3), np.uint64(0xCBF29CE484222325)


def hash_prefixes(codes: np.ndarray, buckets: int) -> np.ndarray:
    """Hash every prefix to a bucket (FNV-1a, one code at a time, with its halves folded).

    Args:
        codes: [M, N] integers, at least 0.
        buckets: Number of buckets.

    Returns:
        [M, N] int64: the bucket of the first code, of the first two, and so on.
    """
    out = np.zeros(codes.shape, dtype=np.int64)
    state = np.full(len(codes), _START)
    for place, code in enumerate(codes.T):
        state = (state ^ code.astype(np.uint64)) * _PRIME  # wraps around by design
        out[:, place] = (state ^ (state >> np.uint64(32))) % np.uint64(buckets)
    return out


def prepare(knowledge: Sequence[Knowledge], samples: Samples, folds: int) -> dict[str, View]:
    """Look up the buckets as of each sample's time.

    Raises:
        PluginFault: Some of the knowledge is vectors instead of codes.
    """
    views: dict[str, View] = {}
    if wrong := [view_name(one) for one in knowledge if one.vectors.dtype.kind != "i"]:
        fix = 'use sets of codes instead: Use("prefix_ngrams", codes=("rqvae",))'
        raise PluginFault(f"adapter prefix_ngrams reads codes, not vectors: {', '.join(wrong)}\n  {fix}")
    for codes in knowledge:
        seen = knowledge_view(codes, samples)
        views[view_name(codes)] = View(hash_prefixes(codes.vectors[:, :LONGEST], BUCKETS), seen.rows)
    return views


class PrefixNgrams(nn.Module):
    """Sums the embeddings of an item's prefixes; a learned vector if it has no codes.

    Args:
        widths: View -> prefixes of an item; each view has its own table.
        buckets: Rows of a table.
        width: Length of an embedding.
    """

    def __init__(self, widths: Mapping[str, int], buckets: int, width: int) -> None:
        super().__init__()
        self.names = tuple(widths)  # kept separately, because a module name cannot contain a dot
        self.tables = nn.ModuleList(nn.Embedding(buckets, width) for _ in widths)
        self.missing = nn.ModuleList(Missing(width) for _ in widths)
        self.width = width * len(widths)
        for table in self.tables.parameters():
            nn.init.normal_(table, std=0.01)  # like ids: a prefix unseen in training adds almost nothing

    def forward(self, views: Mapping[str, Known]) -> Tensor:
        """Sum the embeddings: buckets [B, N] and mask [B] of every view -> [B, width]."""
        summed = []
        for name, table, missing in zip(self.names, self.tables, self.missing, strict=True):
            buckets, there = views[name]
            summed.append(missing((table(buckets).sum(dim=1), there)))
        return torch.cat(summed, dim=1)


def build(widths: Mapping[str, int]) -> PrefixNgrams:
    """Build the module."""
    return PrefixNgrams(widths, BUCKETS, WIDTH)


ABOUT = "embeddings shared by items with the same prefix of a semantic id"
ADAPTER = Adapter("prefix_ngrams", prepare, build, ABOUT, by_side(prepare))
