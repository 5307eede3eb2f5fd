"""Item vectors of a tuned encoder in the click-through-rate model, against their controls.

Run:   .venv/bin/python benchmarks/notellm.py
Reads: examples/movielens; all output is in a temporary folder.
all-MiniLM-L6-v2 is tuned on pairs from the first half of the training events by time. Its vectors are visible to
samples strictly later than the newest of these; the others train and are judged without them. Five
seeds, 95% intervals. It takes about four CPU-minutes. The last line printed is one JSON object.
"""

import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, cast

import numpy as np
import polars as pl
import torch
import yaml

from app.config import Config, load_config
from app.samples import open_samples, read_vectors_of
from app.workplace import open_dataset, open_store
from base.progress import silent
from ctr.arms.base import BASE
from ctr.compare import train_arm
from ctr.config import TrainConfig
from ctr.controls import controls_of
from ctr.samples import Samples
from ctr.views import knowledge_view
from engines.model_folder import minilm_folder
from evals.comparison import cold_rows
from evals.evaluate import Scores, evaluate
from feature_store.releases import get_release
from feature_store.vectors import Knowledge
from llm_tasks.note_embed import NOTELLM, TUNED
from prompts.domain import load_domain
from prompts.notes import notes
from sources.events import PARTS
from tuning.config import ContrastiveConfig
from tuning.contrastive import tune_encoder
from tuning.note_pairs import training_pairs

EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "movielens"
ARMS = (BASE, NOTELLM, *controls_of(NOTELLM, {"item_facts": "item", "note_embed": "item"}))
SHARE = 0.5
"""Share of the training events used to tune the encoder."""


def main() -> None:
    """Tune, refresh, train, and print the results."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        config = copy_example(Path(folder) / "movielens")
        tuned = tune(config)
        refresh(config)
        release = get_release(open_store(config))
        samples, knowledge = open_samples(config), read_vectors_of(config, release, ARMS)
    print(json.dumps({"tuned": tuned} | compare(knowledge, samples)))


def copy_example(folder: Path) -> Config:
    """Copy the example, with a tuned encoder in addition to the frozen one, and a separate home."""
    shutil.copytree(EXAMPLE, folder)
    settings = yaml.safe_load((folder / "knowflow.yaml").read_text(encoding="utf-8"))
    settings |= {
        "home": "runs",
        "tasks": {"item_facts": {"encoders": ["dense"]}, "note_embed": {"encoders": ["note"]}},
        "encoders": {"dense": {"kind": "dense"}, "note": {"kind": "dense", "model": "note", "max_tokens": 128}},
    }
    del settings["queries"], settings["rewrites"]
    (folder / "knowflow.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    return load_config(folder / "knowflow.yaml")


def tune(config: Config) -> dict[str, Any]:
    """Tune the encoder on the training events before the moment."""
    begun, dataset = time.process_time(), open_dataset(config)
    times = dataset.events.filter(pl.col("part") == "train")["time"]
    until = cast(datetime, times.sort()[int(SHARE * len(times))])
    counted = training_pairs(dataset, until=until)
    texts = notes(dataset.items.iter_rows(named=True), load_domain(config.domain, config.folder))
    settings = ContrastiveConfig(validation=0.0)
    tune_encoder(
        minilm_folder(), texts, counted.pairs, settings, config.folder / "note", silent, seen_until=counted.seen_until
    )
    assert counted.seen_until is not None
    return {
        "pairs": len(counted.pairs),
        "seen_until": counted.seen_until.isoformat(),
        "cpu_seconds": round(time.process_time() - begun, 1),
    }


def refresh(config: Config) -> None:
    """Encode the items with both encoders and publish a release."""
    subprocess.run([sys.executable, "-m", "cli.main", "refresh", "--config", str(config.path)], check=True)


def compare(knowledge: Mapping[str, Knowledge], samples: Samples) -> dict[str, Any]:
    """Train the arms with five seeds each: return figures, and gains over every control with intervals."""
    sees = knowledge_view(knowledge[TUNED], samples).rows >= 0
    cold, test = cold_rows(samples), samples.part == PARTS.index("test")
    masks = {
        "all": np.ones(len(test), dtype=bool),
        "seen": sees,
        "unseen": ~sees,
        "cold": cold,
        "cold_seen": cold & sees,
    }
    results = {arm.name: train_arm(arm, knowledge, samples, TrainConfig(backbone="dcnv2")) for arm in ARMS}
    scores = Scores(
        samples.label[test],
        samples.user[test],
        {name: mask[test] for name, mask in masks.items()},
        {name: result.test for name, result in results.items()},
    )
    controls = [arm.name for arm in ARMS if arm is not NOTELLM]
    result = evaluate(scores, controls=controls)
    gains = {
        control: {segment: metrics["auc"] for segment, metrics in by.items()}
        for control, by in result["gains"][NOTELLM.name].items()
    }
    auc = {arm: {segment: by[segment]["auc"]["mean"] for segment in masks} for arm, by in result["arms"].items()}
    show(auc, gains)
    rows = {name: int(mask[test].sum()) for name, mask in masks.items()}
    shares = {part: float(sees[samples.part == place].mean()) for place, part in enumerate(PARTS)}
    return {"auc": auc, "gains": gains, "test_rows": rows, "share_that_sees_a_vector": shares, "controls": controls}


def show(auc: Mapping[str, Mapping[str, float]], gains: Mapping[str, Mapping[str, Mapping[str, float]]]) -> None:
    """Print both tables."""
    print(pl.DataFrame([{"arm": arm, **by} for arm, by in auc.items()]))
    for control, by in gains.items():
        for segment, gain in by.items():
            print(f"{control:18s} {segment:10s} {gain['mean']:+.4f} [{gain['low']:+.4f}, {gain['high']:+.4f}]")


if __name__ == "__main__":
    main()
