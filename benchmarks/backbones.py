"""Every backbone on the example, the base arm alone: AUC on validation rows, parameters and training speed.

Run:   python benchmarks/backbones.py [--save]
Reads: examples/movielens. No test row of either protocol is scored: `position` are the split's validation rows,
`rolling 40%` trains on that share of all events and validates on the next 10%.

Each backbone tries two rates with the first seed and is trained with both seeds at the better one. Then ratings as a
second task, and what calibration does: fitted on one window of rolling time, judged on the next. About four
CPU-minutes; the last line printed is one JSON object.
"""

import argparse
import json

import numpy as np
import torch
from choices import CONFIG, Protocol, by_time, without_tests
from keep import keep
from sklearn.metrics import roc_auc_score
from threadpoolctl import threadpool_limits

from app.config import load_config
from app.samples import open_samples
from app.workplace import open_dataset
from base.plugins import find
from ctr.arms.base import BASE
from ctr.backbones.protocol import BACKBONES
from ctr.calibration import FITS, CalibratedModel, calibration_of
from ctr.compare import probabilities
from ctr.config import TrainConfig, Trial
from ctr.learners import Model, make_learner
from ctr.search import search
from evals.metrics import ece, ece_floor, logloss
from sources.events import PARTS

SEEDS = (0, 1)
RATES = (6e-3, 3e-3)
WEIGHTS = (0.3, 1.0)
"""Weights of the second loss."""


def main() -> None:
    """Measure, and print the results."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--save", action="store_true", help="keep it for `make figures`")
    parser.add_argument("--only", nargs="*", help="names of backbones")
    given = parser.parse_args()
    torch.set_num_threads(1)
    threadpool_limits(1)
    config = load_config(CONFIG)
    dataset, past = open_dataset(config), config.source.history.length
    whole = open_samples(config, dataset)
    windows = by_time(*without_tests(dataset), past)
    protocols = [Protocol(whole, (whole.part,)), Protocol(windows.samples, windows.parts[1:])]
    found = {name: measured(name, {}, protocols) for name in given.only or sorted(find(BACKBONES))}
    result = {
        "seeds": len(SEEDS),
        "rows": int((whole.part == 0).sum()),
        "backbones": found,
        "ratings": {f"{weight:g}": measured("dcnv2", {"rating_weight": weight}, protocols) for weight in WEIGHTS},
        "calibration": {name: calibrated(name, windows) for name in ("dcnv2", "blend")},
    }
    if given.save:
        keep("backbones", result)
    print(json.dumps(result))


def measured(name: str, options: dict[str, float], protocols: list[Protocol]) -> dict[str, float | list[float]]:
    """Train a backbone under both protocols; return its AUCs, size and speed."""
    trials = tuple(Trial(learning_rate=rate) for rate in RATES)
    config, aucs, models = TrainConfig.model_validate({"backbone": name, "search": trials, **options}), [], []
    for protocol in protocols:
        learner = make_learner(BASE, {}, protocol.samples, config)
        for part in protocol.parts:
            chosen, _ = search(learner, part, config)
            models += [learner.train(part, chosen, seed) for seed in SEEDS]
            aucs.append(round(float(np.mean([max(model.validation_auc) for model in models[-len(SEEDS) :]])), 4))
    speed = round(max(model.samples_per_cpu_second for model in models[: len(SEEDS)]))
    facts = {"auc": aucs, "mean": round(float(np.mean(aucs)), 4), "parameters": models[0].parameters}
    print(f"{name:10s} {options or ''} {facts}  {speed:,} samples a CPU-second", flush=True)
    return {**facts, "samples_per_cpu_second": speed}


def calibrated(name: str, windows: Protocol) -> dict[str, dict[str, float]]:
    """Calibrate a model on the window that follows its training rows, and judge it on the next window."""
    first, second = windows.parts
    learner = make_learner(BASE, {}, windows.samples, TrainConfig(backbone=name, search=()))
    model = learner.train(first, TrainConfig(backbone=name, search=()), SEEDS[0])
    rows = np.flatnonzero(second == PARTS.index("validation"))
    maps = {kind: CalibratedModel(model, calibration_of(kind, model, windows.samples, first)) for kind in FITS}
    return {kind: judged(one, windows, rows) for kind, one in {"none": model, **maps}.items()}


def judged(model: Model, windows: Protocol, rows: np.ndarray) -> dict[str, float]:
    """Return calibration error, its floor, log loss and AUC of some rows."""
    label, scores = windows.samples.label[rows], probabilities(model, rows)
    found = {"ece": ece(label, scores), "floor": ece_floor(scores), "logloss": logloss(label, scores)}
    return {name: round(value, 4) for name, value in (found | {"auc": float(roc_auc_score(label, scores))}).items()}


if __name__ == "__main__":
    main()
