"""LLM-CF against its controls, and other settings: pool size, K, alpha, guards, encoders, backbones.

Run:   .venv/bin/python benchmarks/llm_cf.py [--only arms]
Reads: the newest release of examples/movielens (make demo).
Arms are trained with five seeds and compared with 95% intervals, settings with three seeds. It takes about twelve
CPU-minutes. The last line printed is one JSON object.
"""

import argparse
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from app.config import load_config
from app.samples import open_samples, read_vectors_of
from app.workplace import open_dataset, open_store
from ctr.compare import train_arm
from ctr.config import ExamplesConfig, TrainConfig
from ctr.controls import arms_of
from ctr.samples import Samples
from ctr.views import knowledge_view
from evals.comparison import segments_of_test
from evals.evaluate import Scores, evaluate
from evals.looks import note_look
from feature_store.releases import get_release
from feature_store.vectors import Knowledge
from llm_tasks.cot_examples import LLM_CF
from llm_tasks.pipeline.arm import Arm, Use
from sources.events import PARTS

CONFIG = Path(__file__).resolve().parents[1] / "examples" / "movielens" / "knowflow.yaml"
ARMS = ("base", "kar", "llm-cf", "kar+llm-cf", "llm-cf-shuffled", "llm-cf-labels", "llm-cf-random")
CONTROLS = ("base", "kar", "llm-cf-labels", "llm-cf-shuffled", "llm-cf-random")
LEXICAL = replace(LLM_CF, name="lexical", uses=(Use("in_context", ("cot_examples/lexical", "item_facts/dense")),))
NETWORK = TrainConfig(backbone="dcnv2")
"""A decoder over examples learns with a network; every arm tries the same rates on validation."""
THREE = TrainConfig(backbone="dcnv2", search=(), seeds=(0, 1, 2))


def main() -> None:
    """Measure, and print the results."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", choices=["arms", "settings"], help="one half of it")
    only = parser.parse_args().only
    torch.set_num_threads(1)
    config = load_config(CONFIG)
    dataset, release = open_dataset(config), get_release(open_store(config))
    samples = open_samples(config, dataset)
    arms = [*arms_of().values(), LEXICAL]
    knowledge = read_vectors_of(config, release, [arm for arm in arms if arm.name in (*ARMS, "lexical")])
    found: dict[str, object] = {"release": release.name}
    if only != "settings":
        note_look(config.home_folder / "train", dataset.version, "benchmarks/llm_cf.py", list(ARMS))
        found |= compare({arm.name: arm for arm in arms}, knowledge, samples)
    if only != "arms":
        found["settings"] = settings(knowledge, samples)
    print(json.dumps(found))


def compare(arms: Mapping[str, Arm], knowledge: Mapping[str, Knowledge], samples: Samples) -> dict[str, object]:
    """Train the arms with five seeds each: return figures, and gains over every control with intervals."""
    results = {name: train_arm(arms[name], knowledge, samples, NETWORK) for name in ARMS}
    test = samples.part == PARTS.index("test")
    told = knowledge_view(knowledge["kar_item/dense"], samples).rows >= 0
    scores = {name: result.test for name, result in results.items()}
    segments = segments_of_test(samples, told)
    result = evaluate(Scores(samples.label[test], samples.user[test], segments, scores), controls=CONTROLS)
    figures = {
        name: {m: by["all"][m]["mean"] for m in ("auc", "gauc", "logloss")} for name, by in result["arms"].items()
    }
    gains: dict[str, dict[str, dict[str, dict[str, float]]]] = {}
    for name, against in result["gains"].items():
        for control, by in against.items():
            chosen = {segment: by[segment]["auc"] for segment in ("all", "cold")}
            gains.setdefault(name, {})[control] = chosen
            print(f"{name:16s} against {control:16s} {_interval(chosen['all'])}   cold {_interval(chosen['cold'])}")
    for name, figure in figures.items():
        print(f"{name:16s} AUC {figure['auc']:.4f}  GAUC {figure['gauc']:.4f}  LogLoss {figure['logloss']:.4f}")
    return {"arms": figures, "gains": gains, "retrieval": results["llm-cf"].retrieval}


def settings(knowledge: Mapping[str, Knowledge], samples: Samples) -> dict[str, float]:
    """Return the mean validation AUC over three seeds for one change each: the choice uses no test row."""
    arms, pool = arms_of(), len(knowledge["cot_examples/dense"].entities)
    tried: dict[str, tuple[Arm, TrainConfig, int]] = {"base": (arms["base"], THREE, pool)}
    tried |= {f"pool {size}": (LLM_CF, THREE, size) for size in (150, 300, pool)}
    tried |= {f"K {count}": (LLM_CF, with_examples(count=count), pool) for count in (2, 8)}
    tried |= {f"alpha {alpha:g}": (LLM_CF, with_examples(alpha=alpha), pool) for alpha in (0.0, 0.1)}
    tried["published guards"] = (LLM_CF, with_examples(strict=False), pool)
    tried["lexical reasonings"] = (LEXICAL, THREE, pool)
    for backbone in ("lr", "deepfm", "din"):
        other = THREE.model_copy(update={"backbone": backbone})
        tried |= {f"{backbone} {name}": (arms[name], other, pool) for name in ("base", "llm-cf", "llm-cf-labels")}
    found: dict[str, float] = {}
    for name, (arm, config, size) in tried.items():
        result = train_arm(arm, {key: of_size(one, size) for key, one in knowledge.items()}, samples, config)
        found[name] = float(np.mean([max(aucs) for aucs in result.validation_auc]))
        print(f"{name:22s} {found[name]:.4f}")
    return found


def with_examples(**changes: float | bool) -> TrainConfig:
    """Return a config with three seeds, and other settings under `train.examples`."""
    return THREE.model_copy(update={"examples": ExamplesConfig.model_validate(changes)})


def of_size(knowledge: Knowledge, size: int) -> Knowledge:
    """Draw some examples at random; vectors that are not about events stay complete."""
    if knowledge.entity != "event":
        return knowledge
    kept = np.sort(np.random.default_rng(0).permutation(len(knowledge.entities))[:size])
    return replace(
        knowledge, entities=knowledge.entities[kept], as_of=knowledge.as_of[kept], vectors=knowledge.vectors[kept]
    )


def _interval(gain: Mapping[str, float]) -> str:
    return f"{gain['mean']:+.4f} [{gain['low']:+.4f}, {gain['high']:+.4f}]"


if __name__ == "__main__":
    main()
