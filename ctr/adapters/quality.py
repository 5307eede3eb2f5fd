"""Text quality: what the text says of how good an item is, learned from other items.

Idea:      ridge regression from an item's vector to its mean residual rating over the training rows; every item is
           predicted by a model that never saw it (out of fold over items), so that an item without any rating gets a
           quality too, and none gets its own ratings back, not even by way of the users' means.
Formula:   per fold of items: min_b sum_i n_i / (n_i + 5) (y_i - b x_i - c)^2 + |b|^2 over the n_i > 0 of other folds;
           y_i = mean of (rating - mean rating of its user), both over training rows of other folds' items.
Consumes:  vectors of items.   Produces: [B, 1].
Relations: the item statistics say it from ratings; this says it for cold items (docs/benchmarks.md, cold rows).
"""

from collections.abc import Sequence

import numpy as np
from sklearn.linear_model import Ridge

from ctr.adapters.protocol import Adapter, Plain, view_name
from ctr.samples import Samples
from ctr.statistics import user_residuals
from ctr.views import View, entity_codes, knowledge_view, standardised
from feature_store.knowledge import Knowledge

SHRINK = 5.0
"""Ratings after which an item's mean counts half."""
STRENGTH = 1.0
"""Strength of the ridge penalty."""


def prepare(knowledge: Sequence[Knowledge], samples: Samples, folds: int) -> dict[str, View]:
    """Predict the quality of every row of knowledge about an item."""
    views: dict[str, View] = {}
    for vectors in knowledge:
        item = entity_codes(vectors, samples) if vectors.entity == "item" else np.full(len(vectors.entities), -1)
        value = out_of_fold(vectors.vectors, item, samples, folds)
        view = View(value[:, None], knowledge_view(vectors, samples).rows)
        views[view_name(vectors)] = standardised(view, samples.part == 0)
    return views


def out_of_fold(vectors: np.ndarray, item: np.ndarray, samples: Samples, folds: int) -> np.ndarray:
    """Predict each row by a ridge regression fitted on the rated items of the other folds.

    Args:
        vectors: [M, d].
        item: [M] int64, code of the item each row is about, -1 = none of the samples'; its fold is item % folds.
        samples: Training ratings.
        folds: Number of folds.

    Returns:
        [M] float32; 0, as good as usual, where the other folds hold fewer than two rows to fit on.
    """
    out = np.zeros(len(vectors), dtype=np.float32)
    for fold in range(folds):
        count, residual = item_residuals(samples, (samples.part == 0) & (samples.item % folds != fold))
        fit = (item >= 0) & (count[item] > 0)  # never this fold: none of its ratings was counted
        ask = (item >= 0) & (item % folds == fold)
        if fit.sum() >= 2 and ask.any():
            rated = item[fit]
            weight = count[rated] / (count[rated] + SHRINK)
            model = Ridge(alpha=STRENGTH).fit(vectors[fit], residual[rated], sample_weight=weight)
            out[ask] = model.predict(vectors[ask])
    return out


def item_residuals(samples: Samples, counted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Count each item's ratings, and average them, each minus the mean of its user.

    Args:
        samples: N samples.
        counted: [N] bool, the rows from which counts and all means are taken.

    Returns:
        [I] float64 counts and [I] float64 means, 0 where there is no rating.
    """
    residual, items = user_residuals(samples.user, samples.rating, counted), len(samples.item_ids)
    count = np.bincount(samples.item[counted], minlength=items).astype(np.float64)
    return count, np.bincount(samples.item[counted], residual[counted], items) / np.maximum(count, 1)


ADAPTER = Adapter("quality", prepare, Plain, "what the text says of an item's quality, learned from other items")
