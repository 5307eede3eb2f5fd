"""KnowFlow: the arm `base` of the example, the same rows and fields; the rows come from the config."""

import os
from functools import cache
from pathlib import Path

import numpy as np
import sides
import torch

from app.config import load_config
from app.samples import open_samples
from ctr.arms.base import BASE
from ctr.config import TrainConfig
from ctr.learners import Learner, make_learner

CONFIG = Path(os.environ["KNOWFLOW_PEERS_CONFIG"])


@cache
def learner_of(name: str) -> Learner:
    """Build the samples once."""
    return make_learner(BASE, {}, open_samples(load_config(CONFIG)), TrainConfig(backbone=name))


def config_of(name: str, rate: float, epochs: int) -> TrainConfig:
    """Set the sizes of all sides."""
    sizes = {"embedding_dim": sides.WIDTH, "batch_size": sides.BATCH, "fit_to_rows": False}
    return TrainConfig(backbone=name, learning_rate=rate, epochs=epochs, search=(), **sizes)


def fit(rows: sides.Rows, name: str, rate: float, seed: int) -> sides.Trained:
    """Train with early stopping by validation AUC."""
    model = learner_of(name).train(rows["part"], config_of(name, rate, sides.EPOCHS), seed)
    test = sides.parts(rows)["test"]
    return sides.Trained(max(model.validation_auc), lambda: 1 / (1 + np.exp(-model.logits(test))))


def speed(rows: sides.Rows, name: str) -> float:
    """Train one epoch."""
    return learner_of(name).train(rows["part"], config_of(name, 1e-3, 1), 0).samples_per_cpu_second


if __name__ == "__main__":
    torch.set_num_threads(1)
    sides.run(fit, speed)
