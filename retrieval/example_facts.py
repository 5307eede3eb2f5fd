"""Measure retrieved examples: shortage, similarity, age, and recall against brute force."""

import numpy as np

from retrieval.examples import Encodings, ExamplePool, ExampleRule, Retrieved, Situations, allowed

LOOKED_AT = 200
"""Samples on which recall is measured, spread evenly over all."""
DAY = np.timedelta64(1, "D")
EQUAL = 1e-5
"""Similarities that differ by less are equal: rounding decides which of two such examples is found."""

Facts = dict[str, float | None]


def example_facts(found: Retrieved, pool: ExamplePool, asked: Situations, rule: ExampleRule) -> Facts:
    """Summarise the examples shown to all samples.

    Returns:
        `examples`: size of the pool; `k`: examples per sample; `shortage_share`: share of samples with fewer than k / 2
        examples of a label, where a learned stand-in fills the gap; `similarity_mean` and `days_back_median` over the
        shown examples, None if there are none; `recall`: share of the k / 2 nearest of a label, by brute force, that
        are shown.
    """
    there = found.chosen >= 0
    shown = found.chosen[there]
    back = (np.repeat(asked.time, there.sum(axis=1)) - pool.situations.time[shown]) / DAY
    return {
        "examples": len(pool.label),
        "k": rule.count,
        "shortage_share": float((~there).any(axis=1).mean()) if there.size else 0.0,
        "similarity_mean": float(found.similarity[there].mean()) if there.any() else None,
        "days_back_median": float(np.median(back)) if there.any() else None,
        "recall": recall(found, pool, asked, rule),
    }


def recall(found: Retrieved, pool: ExamplePool, asked: Situations, rule: ExampleRule) -> float | None:
    """Return the share of the truly nearest examples that are shown; None where none can be shown.

    The reference is computed in double precision, one sample at a time, by a full sort.
    """
    examples = [_encode(example, pool.situations.encoded) for example in range(len(pool.label))]
    right = wanted = 0
    for row in _looked_at(len(asked.time)).tolist():
        own = _encode(row, asked.encoded)
        near = np.array([own @ example for example in examples])
        for label in (0, 1):
            fits = allowed(pool, asked, np.array([row]), rule.strict)[0] & (pool.label == label)
            best = np.sort(near[fits])[::-1][: rule.count // 2]
            shown = [one for one in found.chosen[row] if one >= 0 and fits[one]]
            wanted += len(best)
            right += sum(near[one] > best[-1] - EQUAL for one in shown) if len(best) else 0
    return right / wanted if wanted else None


def _looked_at(count: int) -> np.ndarray:
    return np.unique(np.linspace(0, max(count - 1, 0), min(count, LOOKED_AT)).astype(np.int64))


def _encode(sample: int, encoded: Encodings) -> np.ndarray:
    table = encoded.table.numpy()
    own, mean = table[encoded.item[sample]], table[encoded.history[sample]].astype(np.float64).sum(axis=0)
    return np.concatenate([mean / max(float(np.linalg.norm(mean)), 1e-12), own]) / np.sqrt(2)
