"""What the scripts of all sides share: the rows, the small search, what is written. It needs NumPy alone.

Each side runs in an environment of its own: `python SIDE.py ROWS OUT MODEL [--speed]`.
"""

import argparse
import json
import os
import resource
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

RATES = (1e-3, 3e-3, 6e-3, 1e-2)
"""Learning rates that every network tries, with the first seed, on the validation rows."""
EPOCHS = 3
"""Passes at most; every side stops early by its validation AUC."""
BATCH, WIDTH, HIDDEN, CROSSES, ATTENTION = 1024, 32, (128, 64), 2, 16
"""The same sizes for all: batch, embedding, perceptron, cross layers, hidden layer of DIN's attention."""
Rows = Mapping[str, np.ndarray]


class Trained(NamedTuple):
    """What a side's training gives."""

    validation_auc: float
    """AUC on the validation rows of the model that is kept."""
    score: Callable[[], np.ndarray]
    """Computes the probabilities of the test rows: [n]."""


def run(
    fit: Callable[[Rows, str, float, int], Trained],
    speed: Callable[[Rows, str], float],
    rates: tuple[float, ...] = RATES,
) -> None:
    """Search on the validation rows, train once per seed, write the probabilities of the test rows.

    Args:
        fit: Trains a model: rows, name of the model, learning rate, seed.
        speed: Trains one epoch: samples per CPU-second.
        rates: Learning rates to try.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("rows", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("model")
    parser.add_argument("--speed", action="store_true", help="measure speed alone")
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    os.chdir(given.out)  # some write logs and checkpoints into the folder they run in
    rows = dict(np.load(given.rows))
    if given.speed:
        found = {"samples_per_cpu_second": speed(rows, given.model)}
    else:
        seconds: list[float] = []

        def timed(rate: float, seed: int) -> Trained:
            begun = time.process_time()
            model = fit(rows, given.model, rate, seed)
            seconds.append(time.process_time() - begun)
            return model

        tried = {rate: timed(rate, 0) for rate in rates}
        best = max(tried, key=lambda rate: tried[rate].validation_auc)
        models = [tried[best], *(timed(best, seed) for seed in range(1, given.seeds))]
        np.save(given.out / "test.npy", np.stack([model.score() for model in models]).astype(np.float32))
        found = {
            "learning_rate": best,
            "tried": {rate: model.validation_auc for rate, model in tried.items()},
            "validation_auc": [model.validation_auc for model in models],
            "training_cpu_seconds": statistics.median(seconds),
        }
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    (given.out / "found.json").write_text(json.dumps(found | {"peak_mib": round(peak)}))


def parts(rows: Rows) -> dict[str, np.ndarray]:
    """Return the rows of each part."""
    return {name: np.flatnonzero(rows["part"] == place) for place, name in enumerate(("train", "validation", "test"))}
