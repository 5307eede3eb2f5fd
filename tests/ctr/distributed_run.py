"""Train the made world, as each of several processes that a launcher starts; each writes its results."""

import os
import runpy
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from base.progress import silent
from ctr.batch import Batches
from ctr.compare import prepare_views
from ctr.config import TrainConfig
from ctr.learners import make_model
from ctr.train import train
from llm_tasks.pipeline.arm import Arm, Use

ARM = Arm("toy", "", (Use("in_context", ("cot_examples/dense", "kar_item/dense")),))
"""An adapter with a loss of its own, over the examples that there are: the shares hold unequal numbers of them."""


def run(sparse_from: int) -> dict[str, np.ndarray]:
    """Train, and return the parameters and the curve."""
    torch.set_num_threads(1)
    world = runpy.run_path(str(Path(__file__).with_name("conftest.py")))
    samples = world["made_samples"]()
    known = {"cot_examples/dense": world["made_examples"](samples), "kar_item/dense": world["made_knowledge"](samples)}
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
    views = prepare_views(ARM, known, samples, 3)
    batches = Batches(samples, views)
    trained = train(make_model(ARM, views, batches, samples, config, 0), batches, samples, config, 0, silent)
    found = {name: value.numpy() for name, value in trained.model.state_dict().items()}
    return found | {"curve": np.array(trained.validation_auc)}


if __name__ == "__main__":
    for sparse_from in map(int, sys.argv[2:]):
        np.savez(Path(sys.argv[1]) / f"{sparse_from}-rank-{os.environ['RANK']}.npz", **run(sparse_from))
