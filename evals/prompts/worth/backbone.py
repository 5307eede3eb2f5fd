"""The fixed model of the click measure: logistic regression without any text, trained once for a sample.

It is the backbone `lr` of the click models (ids, categories, history, statistics of strictly earlier events), trained
on the training rows whose entity is in the sample, for a fixed number of epochs: nothing is chosen by the rows that are
judged. The training rows get their logits from models that have not seen them (3 folds), because a head on top
must not take what the model has memorised for what it knows.
"""

from collections.abc import Sequence

import numpy as np

from ctr.arms.base import BASE
from ctr.config import TrainConfig
from ctr.learners import make_learner
from ctr.samples import Samples
from sources.events import PARTS

FOLDS = 3
"""Folds of the training rows."""
SEEDS = (0, 1)
"""Training seeds; logits are averaged over them."""
CONFIG = TrainConfig(backbone="lr", search=(), epochs=3)
"""How it is trained."""


def base_logits(samples: Samples, covered: np.ndarray, seeds: Sequence[int] = SEEDS) -> np.ndarray:
    """Train the model and score the covered rows.

    Args:
        samples: N samples.
        covered: [N] bool: rows that train or are judged.
        seeds: Training seeds.

    Returns:
        [N] float64, NaN where not covered.
    """
    learner = make_learner(BASE, {}, samples, CONFIG)
    train = np.flatnonzero(covered & (samples.part == PARTS.index("train")))
    others = np.flatnonzero(covered & (samples.part != PARTS.index("train")))
    fold = np.random.default_rng(0).permutation(len(train)) % FOLDS
    out = np.full(len(samples.label), np.nan)
    out[covered] = 0.0
    for seed in seeds:
        for held in range(FOLDS):
            model = learner.train(_training(samples, train[fold != held]), CONFIG, seed)
            out[train[fold == held]] += model.logits(train[fold == held]) / len(seeds)
        out[others] += learner.train(_training(samples, train), CONFIG, seed).logits(others) / len(seeds)
    return out


def _training(samples: Samples, rows: np.ndarray) -> np.ndarray:
    part = np.full(len(samples.label), -1, dtype=np.int8)
    part[rows] = PARTS.index("train")
    return part
