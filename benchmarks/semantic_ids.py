"""Value of semantic ids in a click model on MovieLens small, and their stability when an item gets another id.

Run:   .venv/bin/knowflow refresh --config examples/movielens/knowflow.yaml   (once: item vectors)
       .venv/bin/knowflow codes rqvae --vectors item_facts/dense --config examples/movielens/knowflow.yaml
       .venv/bin/python benchmarks/semantic_ids.py [SEEDS]
       .venv/bin/python benchmarks/keep.py semantic_ids

Gain: the arm `semantic-ids`, its shuffled and its random codes against the backbone alone (dcnv2, one epoch, no search
of settings, the split of the example), on all test rows and on those of items with fewer than five training events.
Stability (A/A): every item is doubled, each event goes to one of the two at random, and only the id differs; how much
do predictions change when a test row uses the item's other id?
"""

import json
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from app.config import load_config
from app.samples import open_samples, read_vectors_of
from app.workplace import open_store
from ctr.batch import Batches
from ctr.compare import prepare_views, probabilities
from ctr.config import TrainConfig
from ctr.controls import choose_arms
from ctr.learners import Network, NetworkModel
from ctr.samples import Samples
from evals.metrics import auc
from feature_store.releases import get_release
from feature_store.vectors import Knowledge
from llm_tasks.pipeline.arm import Arm
from sources.events import PARTS

CONFIG = Path(__file__).parents[1] / "examples" / "movielens" / "knowflow.yaml"
ARMS = ("base", "semantic-ids", "semantic-ids-shuffled", "semantic-ids-random")
TRAIN = TrainConfig(backbone="dcnv2", search=(), rolling=())
RARE = 5


def main() -> None:
    """Train, print the figures, and all of them as JSON in the last line."""
    torch.set_num_threads(1)
    seeds = range(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
    config = load_config(CONFIG)
    arms = choose_arms(ARMS, {})
    samples = open_samples(config)
    release = get_release(open_store(config))
    knowledge = read_vectors_of(config, release, arms)
    found = {"release": release.name, "seeds": len(seeds), "gain": gains(arms, knowledge, samples, seeds)}
    found["stability"] = stability(arms, knowledge, samples, seeds)
    print(json.dumps(found))


def gains(arms: list[Arm], knowledge: Mapping[str, Knowledge], samples: Samples, seeds: range) -> dict:
    """Return the AUC of every arm, and gains over the first arm with intervals over users."""
    test = np.flatnonzero(samples.part == PARTS.index("test"))
    met = np.bincount(samples.item[samples.part == 0], minlength=len(samples.item_ids))
    parts = {"all": test, "rare items": test[met[samples.item[test]] < RARE]}
    scores = {arm.name: [scored(arm, knowledge, samples, seed) for seed in seeds] for arm in arms}
    out: dict = {}
    for segment, rows in parts.items():
        of = {name: [auc(samples.label[rows], one[rows]) for one in many] for name, many in scores.items()}
        out[segment] = {"rows": len(rows)}
        for name, aucs in of.items():
            out[segment][name] = {"auc": float(np.mean(aucs))}
            if name != ARMS[0]:
                low, high = interval(samples, rows, scores[name], scores[ARMS[0]])
                out[segment][name] |= {"gain": float(np.mean(aucs) - np.mean(of[ARMS[0]])), "interval": [low, high]}
            print(f"{segment:12} {name:24}", json.dumps(out[segment][name]), flush=True)
    return out


def interval(samples: Samples, rows: np.ndarray, arm: list[np.ndarray], base: list[np.ndarray]) -> list[float]:
    """Return the 95% interval of the mean gain over seeds, from 200 resamples of users."""
    order = np.argsort(samples.user[rows], kind="stable")
    of_users = np.split(rows[order], np.flatnonzero(np.diff(samples.user[rows[order]])) + 1)
    chance, found = np.random.default_rng(0), []
    for _ in range(200):
        drawn = np.concatenate([of_users[user] for user in chance.integers(len(of_users), size=len(of_users))])
        label = samples.label[drawn]
        found.append(np.mean([auc(label, a[drawn]) - auc(label, b[drawn]) for a, b in zip(arm, base, strict=True)]))
    return np.quantile(found, [0.025, 0.975]).tolist()


def trained(arm: Arm, knowledge: Mapping[str, Knowledge], samples: Samples, seed: int) -> NetworkModel:
    """Train one network of an arm."""
    views = prepare_views(arm, knowledge, samples, TRAIN.folds)
    return Network(arm, views, samples).train(samples.part, TRAIN, seed)


def scored(arm: Arm, knowledge: Mapping[str, Knowledge], samples: Samples, seed: int) -> np.ndarray:
    """Return the probabilities of all rows: [N]."""
    return probabilities(trained(arm, knowledge, samples, seed), np.arange(len(samples.label)))


def stability(arms: list[Arm], knowledge: Mapping[str, Knowledge], samples: Samples, seeds: range) -> dict:
    """Return the mean change of a test row's probability under its item's other id, over their deviation."""
    test, both, out = np.flatnonzero(samples.part == PARTS.index("test")), doubled_codes(knowledge), {}
    for arm in arms:
        moved, spread = [], []
        for seed in seeds:
            one = doubled(samples, np.random.default_rng(seed).integers(2, size=len(samples.label)))
            other = replace(one, item=np.where(one.part == PARTS.index("test"), one.item ^ 1, one.item))
            model = trained(arm, both, one, seed)
            renamed = replace(model, batches=Batches(other, prepare_views(arm, both, other, TRAIN.folds)))
            before, after = probabilities(model, test), probabilities(renamed, test)
            moved.append(np.abs(before - after).mean())
            spread.append(before.std())
        out[arm.name] = {"change": float(np.mean(moved)), "of_deviation": float(np.mean(moved) / np.mean(spread))}
        print(f"stability    {arm.name:24}", json.dumps(out[arm.name]), flush=True)
    return out


def doubled(samples: Samples, coin: np.ndarray) -> Samples:
    """Return the samples with two ids per item, 2i and 2i + 1, drawn at random for each row."""
    return replace(
        samples,
        item=2 * samples.item + coin,
        item_ids=np.array([f"{name}#{twin}" for name in samples.item_ids for twin in range(2)]),
        item_categories=np.repeat(samples.item_categories, 2, axis=0),
        item_numbers=np.repeat(samples.item_numbers, 2, axis=0),
    )


def doubled_codes(knowledge: Mapping[str, Knowledge]) -> dict[str, Knowledge]:
    """Assign an item's codes to both of its ids."""
    return {
        name: replace(
            one,
            entities=np.array([f"{entity}#{twin}" for entity in one.entities for twin in range(2)]),
            as_of=np.repeat(one.as_of, 2),
            vectors=np.repeat(one.vectors, 2, axis=0),
        )
        for name, one in knowledge.items()
    }


if __name__ == "__main__":
    main()
