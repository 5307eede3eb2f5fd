"""Fit the number of optimiser steps, and the size of leaves, to the size of the log."""

from ctr.config import TrainConfig

STEPS_AN_EPOCH = 50
"""Optimiser steps in one pass over the training rows, at least: with fewer the network has hardly moved."""
SMALLEST_BATCH = 32
"""Below it a gradient is mostly noise."""
MOST_TIMES = 10
"""Epochs are multiplied by this at most."""
LEAVES_SHARE = 50
"""A leaf holds one in so many training rows at least, where that is less than `trees.least_samples`."""
FEWEST_IN_A_LEAF = 5


def for_rows(config: TrainConfig, rows: int) -> TrainConfig:
    """Return the config for so many training rows; from 25,600 rows on, the usual batch of 512 stays as it is.

    On a small log one epoch of large batches is a single step, after which nothing is learnt. The batch shrinks until
    an epoch has 50 steps, down to 32 rows; then there are more epochs (early stopping still ends them), and smaller
    leaves of trees.

    Args:
        config: How to train.
        rows: Number of training rows.

    Example:
        >>> for_rows(TrainConfig(), 500).batch_size, for_rows(TrainConfig(), 500).epochs
        (32, 4)
        >>> for_rows(TrainConfig(), 80_000) == TrainConfig()
        True
    """
    if not config.fit_to_rows:
        return config
    batch = min(config.batch_size, max(SMALLEST_BATCH, rows // STEPS_AN_EPOCH))
    steps = max(-(-rows // batch), 1)
    times = min(max(-(-STEPS_AN_EPOCH // steps), 1), MOST_TIMES)
    leaf = min(config.trees.least_samples, max(FEWEST_IN_A_LEAF, rows // LEAVES_SHARE))
    trees = config.trees.model_copy(update={"least_samples": leaf})
    return config.model_copy(update={"batch_size": batch, "epochs": config.epochs * times, "trees": trees})
