"""Text quality: how good an item is according to its text, learned from other items.

Idea:      ridge regression from an item's vector to its mean residual rating; every item is predicted by a model that
           never saw it (out of fold over items), so that an item without ratings also gets a quality, and no item
           gets its own ratings back, not even through the users' means. It is fitted again at a dozen moments, each
           time on earlier events; a sample uses the newest of these fits, so that it sees no later rating.
Formula:   per moment m and fold of items: min_b sum_i n_i / (n_i + 5) (y_i - b x_i - c)^2 + |b|^2 over the n_i > 0 of
           other folds; y_i = mean of (rating - mean rating of its user), over events before m of other folds' items.
Consumes:  vectors of items.   Produces: [B, 1].
Relations: item statistics give it from ratings; this gives it for cold items (docs/benchmarks.md, cold rows).
"""

from collections.abc import Sequence

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from ctr.adapters.protocol import Adapter, Plain, view_name
from ctr.samples import Samples
from ctr.serving.sides import by_side
from ctr.statistics import user_residuals
from ctr.views import View, entity_codes, knowledge_view, sample_view
from feature_store.vectors import Knowledge, as_of_rows

SHRINK = 5.0
"""Ratings after which an item's mean counts half."""
STRENGTH = 1.0
"""Strength of the ridge penalty."""
MOMENTS = 12
"""Number of fits, at equal numbers of events."""


def prepare(knowledge: Sequence[Knowledge], samples: Samples, folds: int) -> dict[str, View]:
    """Predict the quality of every sample's item, as of the sample's time."""
    views: dict[str, View] = {}
    for vectors in knowledge:
        item = entity_codes(vectors, samples) if vectors.entity == "item" else np.full(len(vectors.entities), -1)
        row = knowledge_view(vectors, samples).rows  # [N]
        moments, served = moments_of(samples.time, MOMENTS, samples.happened)
        value, known = np.zeros((len(row), 1), dtype=np.float32), (row >= 0) & (served >= 0)
        for place, moment in enumerate(moments):
            there = known_before(item, vectors.as_of, moment)
            earlier = (samples.time < moment) & samples.happened
            predicted = out_of_fold(vectors.vectors, item, samples, earlier, folds, there)
            here = known & (served == place)
            value[here, 0] = predicted[row[here]]
        views[view_name(vectors)] = sample_view(value, known, samples)
    return views


def moments_of(time: np.ndarray, number: int, happened: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Choose moments that divide the events into equal numbers, and find the one that serves each sample.

    What is fitted on the events strictly before a moment serves the samples at or after it, until the next one.

    Args:
        time: [N] datetime64[us].
        number: Number of moments; some may coincide.
        happened: [N] bool: the samples that are events; None = all.

    Returns:
        [K] datetime64[us], rising; [N] int64, the moment of each sample, -1 before the first.

    Example:
        >>> time = np.array([0, 1, 2, 3], dtype="datetime64[us]")
        >>> [part.astype(int).tolist() for part in moments_of(time, 1)]
        [[2], [-1, -1, 0, 0]]
    """
    events = time if happened is None else time[happened]
    places = np.arange(1, number + 1) * len(events) // (number + 1)
    moments = np.unique(np.sort(events)[places]) if len(events) else events
    return moments, np.searchsorted(moments, time, side="right") - 1


def known_before(item: np.ndarray, as_of: np.ndarray, moment: np.datetime64) -> np.ndarray:
    """Choose the newest row of each item that was known strictly before a moment.

    Args:
        item: [M] int64, code of the item each row is about, -1 = none.
        as_of: [M] datetime64[us].
        moment: When it is asked.

    Returns:
        [M] bool.
    """
    codes = np.arange(int(item.max(initial=-1)) + 1)
    newest = as_of_rows(codes, np.full(len(codes), moment), item, as_of)
    out = np.zeros(len(item), dtype=bool)
    out[newest[newest >= 0]] = True
    return out


def out_of_fold(
    vectors: np.ndarray,
    item: np.ndarray,
    samples: Samples,
    counted: np.ndarray,
    folds: int,
    fitted: np.ndarray | None = None,
) -> np.ndarray:
    """Predict each row by a ridge regression fitted on the rated items of the other folds.

    Args:
        vectors: [M, d].
        item: [M] int64, code of the item each row is about, -1 = none of the samples'; its fold is item % folds.
        samples: N samples with their ratings.
        counted: [N] bool, the samples whose ratings are read.
        folds: Number of folds.
        fitted: [M] bool, the rows that may be fitted on; all where None.

    Returns:
        [M] float32; 0, as good as usual, where the other folds hold fewer than two rows to fit on.
    """
    out = np.zeros(len(vectors), dtype=np.float32)
    for fold in range(folds):
        count, residual = item_residuals(samples, counted & (samples.item % folds != fold))
        fit = (item >= 0) & (count[item] > 0)  # never this fold: none of its ratings was counted
        fit &= True if fitted is None else fitted
        ask = (item >= 0) & (item % folds == fold)
        if fit.sum() >= 2 and ask.any():
            rated = item[fit]
            weight = count[rated] / (count[rated] + SHRINK)
            slope, intercept = ridge(vectors[fit].astype(np.float64), residual[rated], weight)
            out[ask] = vectors[ask] @ slope + intercept
    return out


def ridge(vectors: np.ndarray, target: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, float]:
    """Fit a weighted ridge regression whose intercept is free.

    In closed form: it is fitted sixty times, and scikit-learn's Ridge takes seven times as long for so few rows.

    Args:
        vectors: [n, d] float64.
        target: [n].
        weight: [n], positive.

    Returns:
        [d] float64 slope, and the intercept.
    """
    centre, mean = weight @ vectors / weight.sum(), float(weight @ target / weight.sum())
    centred = vectors - centre
    weighted = centred * weight[:, None]
    gram = weighted.T @ centred + STRENGTH * np.eye(vectors.shape[1])  # [d, d]
    slope = cho_solve(cho_factor(gram), weighted.T @ (target - mean))
    return slope, mean - float(centre @ slope)


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


ABOUT = "what the text says of an item's quality, learned from other items"
ADAPTER = Adapter("quality", prepare, Plain, ABOUT, by_side(prepare))
