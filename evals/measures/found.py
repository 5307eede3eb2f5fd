"""Measures of the wanted items that lists find: recall, NDCG, MRR and hit.

Formulas:  W = wanted items of a query, r(w) = rank of w from 1, found = {w in W: r(w) <= k}
           recall@k = |found| / |W|;                                  hit@k = 1 if found else 0
           ndcg@k   = sum_{w in found} 1 / log2(1 + r(w)) / sum_{j=1..min(k, |W|)} 1 / log2(1 + j)
           mrr@k    = max_{w in found} 1 / r(w), 0 if nothing is found
Sources:   Jarvelin and Kekalainen 2002, "Cumulated Gain-Based Evaluation of IR Techniques", for NDCG (each wanted item
           is worth 1); Voorhees 1999, "The TREC-8 Question Answering Track Report", for the reciprocal rank.
"""

import numpy as np

from evals.lists import Lists
from evals.measures.protocol import Measure


def recall(lists: Lists, k: int) -> np.ndarray:
    """Compute the share of the wanted items among the first k: [Q]."""
    return lists.by_query(lists.rank < k) / lists.wanted


def hit(lists: Lists, k: int) -> np.ndarray:
    """Compute whether a wanted item is among the first k: [Q]."""
    return (lists.by_query(lists.rank < k) > 0).astype(np.float64)


def ndcg(lists: Lists, k: int) -> np.ndarray:
    """Compute the discounted gain of the found items, as a share of the best possible one: [Q]."""
    discounts = 1 / np.log2(np.arange(k) + 2)  # [k]
    gains = np.where(lists.rank < k, discounts[np.minimum(lists.rank, k - 1)], 0.0)
    best = np.concatenate([[0.0], np.cumsum(discounts)])
    return lists.by_query(gains) / best[np.minimum(lists.wanted, k)]


def mrr(lists: Lists, k: int) -> np.ndarray:
    """Compute one over the rank of the first wanted item, 0 if it is not among the first k: [Q]."""
    out = np.zeros(len(lists.ranking))
    found = lists.rank < k
    np.maximum.at(out, lists.row[found], 1 / (lists.rank[found] + 1))
    return out


RECALL = Measure("recall", "share of the wanted items among the first k", recall)
NDCG = Measure("ndcg", "the same, an item at rank r worth 1 / log2(1 + r), as a share of the best possible", ndcg)
MRR = Measure("mrr", "one over the rank of the first wanted item, 0 beyond k", mrr)
HIT = Measure("hit", "share of the queries with a wanted item among the first k", hit)
