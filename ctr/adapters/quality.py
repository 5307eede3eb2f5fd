"""Text quality: what the text says of how good an item is, learned from other items.

Idea:      ridge regression from an item's vector to its mean residual rating (rating minus its user's mean) over the
           training rows; every item is predicted by a model that never saw it (out of fold over items), so that an
           item without any rating gets a quality too, and none gets its own ratings back.
Consumes:  vectors of items.   Produces: [B, 1].
Relations: the item statistics say it from ratings; this says it for cold items (docs/benchmarks.md, cold rows).
"""

from collections.abc import Sequence

import numpy as np
from sklearn.linear_model import Ridge

from ctr.adapters.protocol import Adapter, Plain
from ctr.samples import Samples
from ctr.views import View, knowledge_view, standardised
from feature_store.knowledge import Knowledge

SHRINK = 5.0
"""Ratings after which an item's mean counts half."""
STRENGTH = 1.0
"""Strength of the ridge penalty."""


def prepare(knowledge: Sequence[Knowledge], samples: Samples, folds: int) -> dict[str, View]:
    """Predict the quality of every row of knowledge about an item."""
    count, residual = item_residuals(samples)
    views: dict[str, View] = {}
    for vectors in knowledge:
        seen = knowledge_view(vectors, samples)
        item = samples.codes(vectors.entities)
        there = item >= 0
        value = np.zeros((len(item), 1), dtype=np.float32)
        value[there, 0] = out_of_fold(
            vectors.vectors[there], residual[item[there]], count[item[there]], item[there] % folds, folds
        )
        name = f"{vectors.task}_{vectors.encoder}"
        views[name] = standardised(View(value, seen.rows), samples.part == 0)
    return views


def item_residuals(samples: Samples) -> tuple[np.ndarray, np.ndarray]:
    """Count each item's training rows, and average their ratings minus the mean of each rating's user.

    Returns:
        [I] float64 counts and [I] float64 means, 0 where there is no rating.
    """
    train = samples.part == 0
    count = np.bincount(samples.item[train], minlength=len(samples.item_ids)).astype(np.float64)
    total = np.bincount(samples.item[train], samples.residual[train], len(samples.item_ids))
    return count, total / np.maximum(count, 1)


def out_of_fold(vectors: np.ndarray, target: np.ndarray, count: np.ndarray, fold: np.ndarray, folds: int) -> np.ndarray:
    """Predict each row by a ridge regression fitted on the rows of the other folds that have ratings.

    Args:
        vectors: [M, d].
        target: [M] what is to be predicted.
        count: [M] ratings behind each target; rows without any are predicted but never fitted on.
        fold: [M] fold of each row; all rows of one item must share it.
        folds: Number of folds.

    Returns:
        [M] float32; the overall mean where the other folds hold too few rows to fit.
    """
    weight = count / (count + SHRINK)
    rated = weight > 0
    mean = float(np.average(target[rated], weights=weight[rated])) if rated.any() else 0.0
    out = np.full(len(vectors), mean, dtype=np.float32)
    for part in range(folds):
        fit, ask = rated & (fold != part), fold == part
        if fit.sum() >= 2 and ask.any():
            model = Ridge(alpha=STRENGTH).fit(vectors[fit], target[fit], sample_weight=weight[fit])
            out[ask] = model.predict(vectors[ask])
    return out


ADAPTER = Adapter("quality", prepare, Plain, "what the text says of an item's quality, learned from other items")
