"""Measures of the listed items, wanted or not: coverage, popularity bias and novelty.

Formulas:  c_i = training events of item i, N items, L = the first k items of a list
           coverage@k   = |union of all L| / N
           popularity@k = mean over i in L of (|{j: c_j < c_i}| + |{j: c_j = c_i}| / 2) / N
           novelty@k    = mean over i in L of -log2 p_i,  p_i = (c_i + 1) / sum_j (c_j + 1)
Notes:     A list drawn uniformly from the catalogue has popularity 0.5, a list of the most popular items nearly 1. One
           is added to each count because an item without events would have infinite information.
Sources:   Ge et al. 2010, "Beyond accuracy: evaluating recommender systems by coverage and serendipity"; Zhou et al.
           2010, "Solving the apparent diversity-accuracy dilemma of recommender systems" (self-information).
"""

import numpy as np

from evals.lists import Lists
from evals.measures.protocol import Measure


def coverage(lists: Lists, k: int) -> float:
    """Compute the share of the catalogue that appears in any list."""
    named = lists.ranking[:, :k]
    return len(np.unique(named[named >= 0])) / len(lists.popularity)


def popularity(lists: Lists, k: int) -> np.ndarray:
    """Compute the mean share of the catalogue that is less popular than a listed item: [Q]."""
    counts = np.sort(lists.popularity)
    below, upto = (np.searchsorted(counts, lists.popularity, side) for side in ("left", "right"))
    return _mean_of_named(lists, k, (below + upto) / 2 / len(counts))


def novelty(lists: Lists, k: int) -> np.ndarray:
    """Compute the mean self-information of a listed item in bits: [Q]."""
    seen = lists.popularity + 1
    return _mean_of_named(lists, k, -np.log2(seen / seen.sum()))


def _mean_of_named(lists: Lists, k: int, value: np.ndarray) -> np.ndarray:
    """Average a value of items, [N], over the items of each list: [Q], NaN for an empty list."""
    named = lists.ranking[:, :k]
    there = named >= 0
    number = there.sum(axis=1)
    total = np.where(there, value[np.maximum(named, 0)], 0.0).sum(axis=1)
    return np.divide(total, number, out=np.full(len(named), np.nan), where=number > 0)


COVERAGE = Measure("coverage", "share of all items that appear in any list", coverage)
POPULARITY = Measure("popularity", "mean share of the catalogue that is less popular than a listed item", popularity)
NOVELTY = Measure("novelty", "mean self-information of a listed item in bits, -log2 of its share of events", novelty)
