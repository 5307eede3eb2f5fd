"""Train the made world, as each of several processes that torchrun starts; the first one writes the result."""

import os
import runpy
import sys
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
    config = TrainConfig(
        backbone="dcnv2", search=(), batch_size=63, epochs=2, patience=2, embedding_dim=4, sparse_from=sparse_from
    )
    batches = Batches(samples, {})
    trained = train(make_model(BASE, {}, batches, samples, config, 0), batches, samples, config, 0, silent)
    found = {name: value.numpy() for name, value in trained.model.state_dict().items()}
    return found | {"curve": np.array(trained.validation_auc)}


if __name__ == "__main__":
    result = run(int(sys.argv[1]))
    np.savez(f"{sys.argv[2]}-{os.environ['RANK']}.npz", **result)
