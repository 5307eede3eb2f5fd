"""Settings chosen on validation rows: how one setting is judged, and the few that every arm tries before it is trained.

A long search over ranges of settings judges in the same way: `ctr/study.py`.
"""

from typing import Any

import numpy as np

from ctr.config import TrainConfig
from ctr.learners import Learner
from sources.events import PARTS


def validation_of(learner: Learner, part: np.ndarray, config: TrainConfig, to_the_end: bool = False) -> float:
    """Train with the first seed; return the AUC on validation rows.

    Args:
        learner: Trains models.
        part: [N] int8, with validation rows.
        config: How to train.
        to_the_end: Judge by the last epoch, as when models are trained without validation rows, not by the best one.
    """
    found = learner.train(part, config, config.seeds[0]).validation_auc or (0.5,)
    return found[-1] if to_the_end else max(found)


def search(
    learner: Learner, part: np.ndarray, config: TrainConfig, to_the_end: bool = False
) -> tuple[TrainConfig, list[dict[str, Any]]]:
    """Try every rate and number of epochs in `config.search` with the first seed and keep the best on validation rows.

    Args:
        learner: Trains models.
        part: [N] int8, with validation rows.
        config: How to train otherwise.
        to_the_end: As for `validation_of`.

    Returns:
        The config with the rate and the epochs of the highest validation AUC, the first of equal ones, and what was
        tried; the config itself if there is nothing to choose between, or nothing to choose by.
    """
    network = learner.searched
    if network is None or not config.search or not (part == PARTS.index("validation")).any():
        return config, []
    tried: list[tuple[float, TrainConfig]] = []
    for trial in config.search:
        changed = config.model_copy(update={"learning_rate": trial.learning_rate, "epochs": trial.epochs})
        tried.append((validation_of(network, part, changed, to_the_end), changed))
    _, best = max(tried, key=lambda one: one[0])
    return best, [
        {"learning_rate": one.learning_rate, "epochs": one.epochs, "validation_auc": auc} for auc, one in tried
    ]
