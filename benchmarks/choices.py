"""Choose the defaults on validation rows alone: test rows are dropped before anything is built.

Run:   .venv/bin/python benchmarks/choices.py [--config FILE] [--only backbone,arm,trees,rate] [--save]
Reads: the newest release of examples/movielens (make demo).

Only events before the first cut of rolling time (50% of all) that the split by position does not test are loaded: none
of them is a test row of either protocol. There are two kinds of validation rows: those of the split, and two windows of
rolling time, 30% to 40% and 40% to 50% of all events. About ten CPU-minutes; the last line printed is one JSON object.
"""

import argparse
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl
import torch
from keep import keep
from threadpoolctl import threadpool_limits

from app.config import load_config
from app.samples import read_vectors_of
from app.workplace import open_dataset, open_store
from ctr.adapters.catalogue import find_adapters
from ctr.adapters.protocol import Adapter
from ctr.arms.base import BASE
from ctr.config import TrainConfig, TreesConfig
from ctr.controls import as_facts
from ctr.learners import Views, make_learner
from ctr.samples import Samples, build_samples, codes_of
from ctr.views import View
from feature_store.releases import get_release
from feature_store.vectors import Knowledge
from llm_tasks.kar_item import KNOWLEDGE
from llm_tasks.pipeline.arm import FACTS, Arm, Use
from sources.events import PARTS, histories, rolling_split
from sources.tables import Dataset

CONFIG = Path(__file__).resolve().parents[1] / "examples" / "movielens" / "knowflow.yaml"
SEEDS = (0, 1)
CUTS = (0.3, 0.4, 0.5)
"""The validation windows of rolling time: the last one ends where the report's first test window begins."""
COLUMNS = ("position", "rolling 30%", "rolling 40%")
DENSE, LEXICAL = "kar_item/dense", "kar_item/lexical"
FACTS_TASTE = Use("taste", (f"{FACTS}/dense", f"{FACTS}/lexical"))
SIMILARITY, QUALITY, TASTE = KNOWLEDGE.uses


@dataclass(frozen=True)
class Protocol:
    """Samples without test rows, and the splits that judge them."""

    samples: Samples
    """Training and validation rows only."""
    parts: tuple[np.ndarray, ...]
    """[N] int8 each."""


Prepared = dict[tuple[int, Use], dict[str, View]]
"""Views shared by several arms, by protocol and use."""


def main() -> None:
    """Try everything, and print the results."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--config", default=str(CONFIG))
    parser.add_argument("--only", default="backbone,arm,trees,rate")
    parser.add_argument("--save", action="store_true", help="keep it for `make figures`")
    given = parser.parse_args()
    torch.set_num_threads(1)
    threadpool_limits(1)
    config = load_config(given.config)
    dataset, release = open_dataset(config), get_release(open_store(config))
    everything = Arm("all", "", (KNOWLEDGE.uses[0], FACTS_TASTE, TASTE))
    knowledge = read_vectors_of(config, release, [everything])
    past = config.source.history.length
    untested = without_tests(dataset)
    protocols = [by_position(untested[0], past), by_time(*untested, past)]
    prepared: Prepared = {}
    found = {}
    for group in given.only.split(","):
        found[group] = {}
        for name, arm, settings in GROUPS[group]():
            aucs = validate(arm, settings, knowledge, protocols, prepared)
            found[group][name] = [round(auc, 4) for auc in aucs]
            shown = " ".join(f"{auc:.4f}" for auc in aucs)
            print(f"{group:9s} {name:28s} {shown}  mean {np.mean(aucs):.4f}", flush=True)
    result = {"columns": COLUMNS, "seeds": len(SEEDS), "validation_auc": found}
    if given.save:
        keep("choices", result)
    print(json.dumps(result))


def without_tests(dataset: Dataset) -> tuple[Dataset, pl.DataFrame]:
    """Drop every event that is a test row under either protocol.

    Returns:
        The data, and the part of each of its events in the windows of rolling time.
    """
    first, second, last = rolling_split(dataset.events, CUTS)[1:]
    parts = pl.DataFrame({"first": first, "second": second})
    kept = (last == "train") & (dataset.events["part"] != "test")
    return replace(dataset, events=dataset.events.filter(kept)), parts.filter(kept)


def by_position(dataset: Dataset, length: int) -> Protocol:
    """Return training and validation rows of the split."""
    samples = build_samples(dataset, histories(dataset.events, length))
    return Protocol(samples, (samples.part,))


def by_time(dataset: Dataset, parts: pl.DataFrame, length: int) -> Protocol:
    """Return splits by time: each window validates a model trained before it."""
    samples = build_samples(dataset, histories(dataset.events, length))
    renamed = [parts[name].replace({"test": "validation"}) for name in ("first", "second")]
    codes = [codes_of(one.to_numpy().astype(str), np.array(PARTS)).astype(np.int8) for one in renamed]
    return Protocol(samples, tuple(codes))


def validate(
    arm: Arm,
    config: TrainConfig,
    knowledge: Mapping[str, Knowledge],
    protocols: Iterable[Protocol],
    prepared: Prepared,
) -> list[float]:
    """Return the mean validation AUC over the seeds, one for each split."""
    out = []
    for place, protocol in enumerate(protocols):
        views: Views = {}
        for number, use in enumerate(arm.uses):
            if (place, use) not in prepared:
                adapter, vectors = find_adapters()[use.adapter], [knowledge[name] for name in use.vectors]
                assert isinstance(adapter, Adapter)  # none of the arms here shows examples
                prepared[place, use] = dict(adapter.prepare(vectors, protocol.samples, config.folds))
            views[f"{number}_{use.adapter}"] = prepared[place, use]
        learner = make_learner(arm, views, protocol.samples, config)
        for part in protocol.parts:
            aucs = [max(learner.train(part, config, seed).validation_auc) for seed in SEEDS]
            out.append(float(np.mean(aucs)))
    return out


Tries = Iterable[tuple[str, Arm, TrainConfig]]


def backbones() -> Tries:
    """Try every backbone, with the base, the facts and the knowledge arm."""
    names: tuple[str, ...] = ("lr", "din", "deepfm", "dcnv2", "gbdt", "blend")
    for backbone in names:
        for arm in (BASE, as_facts(KNOWLEDGE, "facts"), KNOWLEDGE):
            yield f"{backbone} {arm.name}", arm, TrainConfig(backbone=backbone)


def arms() -> Tries:
    """Try inputs of the knowledge arm, with trees."""
    tried = {
        "similarity, quality": (SIMILARITY, QUALITY),
        "taste alone": (TASTE,),
        "all three": KNOWLEDGE.uses,
        "taste of answers alone": (SIMILARITY, QUALITY, Use("taste", (DENSE, LEXICAL))),
        "taste of lexical alone": (SIMILARITY, QUALITY, Use("taste", (f"{FACTS}/lexical", LEXICAL))),
        "two tastes": (SIMILARITY, QUALITY, FACTS_TASTE, Use("taste", (DENSE, LEXICAL))),
        "similarity of all four": (Use("similarity", (*SIMILARITY.vectors, f"{FACTS}/lexical")), QUALITY, TASTE),
        "quality of both encoders": (SIMILARITY, Use("quality", (LEXICAL, DENSE)), TASTE),
        "quality of facts, too": (SIMILARITY, QUALITY, Use("quality", (f"{FACTS}/lexical",)), TASTE),
    }
    for name, uses in tried.items():
        yield name, Arm("knowledge", "", uses), TrainConfig(backbone="gbdt")


def trees() -> Tries:
    """Try settings of the trees, with the knowledge arm."""
    tried: dict[str, dict[str, float]] = {
        "as they are": {},
        "31 leaves": {"leaves": 31},
        "7 leaves": {"leaves": 7},
        "half of the columns": {"column_share": 0.5},
        "half of the rows": {"row_share": 0.5},
        "120 at 0.1": {"count": 120, "learning_rate": 0.1},
        "250 at 0.05": {"count": 250, "learning_rate": 0.05},
        "400 at 0.03": {"count": 400, "learning_rate": 0.03},
        "63 bins": {"bins": 63},
    }
    for name, changes in tried.items():
        yield name, KNOWLEDGE, TrainConfig(backbone="gbdt", trees=TreesConfig.model_validate(changes))


def rates() -> Tries:
    """Try rates and epochs of the network, with the base and the knowledge arm."""
    for rate, epochs in ((6e-3, 1), (3e-3, 1), (2e-3, 2), (1.2e-2, 1), (6e-3, 2)):
        for arm in (BASE, KNOWLEDGE):
            settings = TrainConfig(backbone="dcnv2", learning_rate=rate, epochs=epochs, patience=2)
            yield f"{arm.name} {rate:g} x {epochs}", arm, settings


GROUPS = {"backbone": backbones, "arm": arms, "trees": trees, "rate": rates}


if __name__ == "__main__":
    main()
