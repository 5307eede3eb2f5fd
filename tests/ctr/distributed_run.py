"""Train the made world, as each of several processes that a launcher starts; each writes its results."""

import os
import runpy
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from base.progress import silent
from ctr.arms.base import BASE
from ctr.batch import Batches
from ctr.config import TrainConfig
from ctr.learners import make_model
from ctr.train import train


def run(sparse_from: int) -> dict[str, np.ndarray]:
    """Train, and return the parameters and the curve."""
    torch.set_num_threads(1)
    samples = runpy.run_path(str(Path(__file__).with_name("conftest.py")))["made_samples"]()
    random = np.random.default_rng(0)
    samples = replace(samples, rated=random.random(len(samples.label)) < 0.3)  # the shares hold unequal numbers of them
    config = TrainConfig(
        backbone="dcnv2",
        search=(),
        batch_size=63,
        epochs=2,
        patience=2,
        embedding_dim=4,
        sparse_from=sparse_from,
        rating_weight=0.5,
    )
    batches = Batches(samples, {})
    trained = train(make_model(BASE, {}, batches, samples, config, 0), batches, samples, config, 0, silent)
    found = {name: value.numpy() for name, value in trained.model.state_dict().items()}
    return found | {"curve": np.array(trained.validation_auc)}


if __name__ == "__main__":
    for sparse_from in map(int, sys.argv[2:]):
        np.savez(Path(sys.argv[1]) / f"{sparse_from}-rank-{os.environ['RANK']}.npz", **run(sparse_from))
