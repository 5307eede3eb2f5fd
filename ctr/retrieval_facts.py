"""What is reported of retrieved examples: how many lack some, how near and how old they are, and how many are right."""

import numpy as np

from ctr.retrieval import Choice, Encodings, Pool, Retrieved, allowed
from ctr.samples import Samples

LOOKED_AT = 200
"""Samples on which recall is measured, evenly over all."""
DAY = np.timedelta64(1, "D")
EQUAL = 1e-5
"""Similarities that differ by less are equal: which of two such examples is found is rounding."""

Facts = dict[str, float | None]


def retrieval_facts(retrieved: Retrieved, pool: Pool, encoded: Encodings, samples: Samples, choice: Choice) -> Facts:
    """Sum up what all samples are shown.

    Returns:
        `examples`: size of the pool; `k`: examples shown to a sample; `shortage_share`: share of samples that are shown
        fewer than k / 2 of a label, a learned stand-in instead; `similarity_mean` and `days_back_median` over what is
        shown, None where nothing is; `recall`: share of the k / 2 nearest of a label, by brute force, that are shown.
    """
    there = retrieved.chosen >= 0
    shown = pool.sample[retrieved.chosen[there]]
    back = (np.repeat(samples.time, there.sum(axis=1)) - samples.time[shown]) / DAY
    return {
        "examples": len(pool.sample),
        "k": choice.count,
        "shortage_share": float((~there).any(axis=1).mean()) if there.size else 0.0,
        "similarity_mean": float(retrieved.similarity[there].mean()) if there.any() else None,
        "days_back_median": float(np.median(back)) if there.any() else None,
        "recall": recall(retrieved, pool, encoded, samples, choice),
    }


def recall(retrieved: Retrieved, pool: Pool, encoded: Encodings, samples: Samples, choice: Choice) -> float | None:
    """Share of the truly nearest examples that are shown; None where none can be shown.

    The truth comes from double precision, one sample at a time, by a full sort.
    """
    vectors = {
        sample: _encode(sample, encoded) for sample in {*pool.sample.tolist(), *_looked_at(len(samples.item)).tolist()}
    }
    right = wanted = 0
    for row in _looked_at(len(samples.item)).tolist():
        near = np.array([vectors[row] @ vectors[example] for example in pool.sample.tolist()])
        for label in (0, 1):
            fits = allowed(np.array([row]), pool, samples, choice.strict)[0] & (samples.label[pool.sample] == label)
            best = np.sort(near[fits])[::-1][: choice.count // 2]
            shown = [one for one in retrieved.chosen[row] if one >= 0 and fits[one]]
            wanted += len(best)
            right += sum(near[one] > best[-1] - EQUAL for one in shown) if len(best) else 0
    return right / wanted if wanted else None


def _looked_at(count: int) -> np.ndarray:
    return np.unique(np.linspace(0, max(count - 1, 0), min(count, LOOKED_AT)).astype(np.int64))


def _encode(sample: int, encoded: Encodings) -> np.ndarray:
    table = encoded.table.numpy()
    own, mean = table[encoded.item[sample]], table[encoded.history[sample]].astype(np.float64).sum(axis=0)
    return np.concatenate([mean / max(float(np.linalg.norm(mean)), 1e-12), own]) / np.sqrt(2)
