"""Segments of the test rows: knowledge is for cold items, so every number is told by segment."""

import numpy as np

from ctr.samples import PARTS, Samples

COLD_BELOW = 5
"""Training events below which an item is cold (docs/benchmarks.md, protocol)."""


def segments_of_test(samples: Samples, knows: np.ndarray, cutoff: np.datetime64 | None = None) -> dict[str, np.ndarray]:
    """Sort the test rows into segments, which may overlap.

    Args:
        samples: N samples.
        knows: [N] bool, the samples that see a model's answer about their item.
        cutoff: The moment up to which the model that answered knows the world, in UTC; None where nobody says.

    Returns:
        Name -> [n] bool over the n test rows: all, warm, cold, cold_with_knowledge; and before_cutoff and after_cutoff
        where a test row is strictly later than the cutoff. Where none is, all rows are before it, and a segment would
        repeat them.
    """
    test, cold = samples.part == PARTS.index("test"), cold_rows(samples)
    masks = {"all": np.ones(len(cold), dtype=bool), "warm": ~cold, "cold": cold, "cold_with_knowledge": cold & knows}
    if cutoff is not None:
        later = samples.time > cutoff
        if (later & test).any():
            masks |= {"before_cutoff": ~later, "after_cutoff": later}
    return {name: mask[test] for name, mask in masks.items()}


def cold_rows(samples: Samples) -> np.ndarray:
    """Samples whose item has fewer than 5 training events: [N] bool."""
    train = samples.part == PARTS.index("train")
    return np.bincount(samples.item[train], minlength=len(samples.item_ids))[samples.item] < COLD_BELOW


def coverage(samples: Samples, knows: np.ndarray) -> dict[str, float]:
    """Share of all samples, of the test rows and of the cold test rows that see a row of knowledge.

    Args:
        samples: N samples.
        knows: [N] bool.
    """
    test = samples.part == PARTS.index("test")
    parts = {"all": np.ones(len(test), dtype=bool), "test": test, "cold": test & cold_rows(samples)}
    return {name: float(knows[part].mean()) if part.any() else 0.0 for name, part in parts.items()}
