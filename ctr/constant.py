"""The constant: the share of clicks among the training rows, for every row; the baseline of any model."""

from collections.abc import Sequence

import numpy as np

from ctr.samples import Samples
from sources.events import PARTS


def constant_scores(samples: Samples, parts: Sequence[np.ndarray], seeds: int) -> np.ndarray:
    """Score the test rows of one or several splits of the samples.

    Args:
        samples: N samples.
        parts: [N] int8 each, index into `PARTS`, -1 = in no part.
        seeds: Number of seeds S; the constant repeats its scores for each, to match the other arms.

    Returns:
        [S, n] float32, the test rows of one split after those of the other.
    """
    scores = [np.zeros(0, dtype=np.float32)]
    for part in parts:
        share = samples.label[part == PARTS.index("train")].mean()
        scores.append(np.full(int((part == PARTS.index("test")).sum()), share, dtype=np.float32))
    return np.tile(np.concatenate(scores), (seeds, 1))
