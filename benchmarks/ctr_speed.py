"""Training speed: samples per CPU-second of the default model and of its network alone, on MovieLens, on one thread.

Run:   python benchmarks/ctr_speed.py
Reads: examples/movielens, and the vectors of its newest release, if there is one (make demo).
The last line printed is one JSON object; speeds are the best of three runs of one epoch each, to reduce the effect of
other work on the machine. Scoring, loading and the preparation of vectors are measured separately.
"""

import json
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from app.config import load_config
from app.samples import open_samples, read_vectors_of
from app.workplace import open_store
from ctr.arms.base import BASE
from ctr.compare import prepare_views, train_arm
from ctr.config import TrainConfig
from feature_store.releases import NoRelease, get_release
from llm_tasks.kar_item import KNOWLEDGE
from llm_tasks.pipeline.arm import Arm

CONFIG = Path(__file__).resolve().parents[1] / "examples" / "movielens" / "knowflow.yaml"
RUNS = 3


def main() -> None:
    """Measure, and print the results."""
    torch.set_num_threads(1)
    config = load_config(CONFIG)
    train = TrainConfig(backbone="dcnv2", search=(), seeds=(0,))
    samples, loading = timed(lambda: open_samples(config))
    rows = int((samples.part == 0).sum())
    found: dict[str, Any] = {
        "rows": rows,
        "backbone": train.backbone,
        "batch_size": train.batch_size,
        "loading_cpu_seconds": round(loading, 2),
    }
    print(f"{rows:,} training rows of {CONFIG.parent.name}, {train.backbone}, width {train.embedding_dim}, one thread")

    def measure(arm: Arm, vectors: dict[str, Any], settings: TrainConfig = train) -> float:
        speeds = [train_arm(arm, vectors, samples, settings).samples_per_cpu_second for _ in range(RUNS)]
        runs = ", ".join(f"{speed:,.0f}" for speed in speeds)
        print(f"  {arm.name:10s} {settings.backbone:6s} {max(speeds):>9,.0f} samples a CPU-second  ({runs})")
        return round(max(speeds))

    found["samples_per_cpu_second"] = measure(BASE, {})
    both = train.model_copy(update={"backbone": TrainConfig().backbone})
    found["default_samples_per_cpu_second"] = measure(BASE, {}, both)
    try:
        release = get_release(open_store(config))
        vectors = dict(read_vectors_of(config, release, [KNOWLEDGE]))
    except NoRelease as error:
        print(f"  {KNOWLEDGE.name:10s} left out: {error}")
    else:
        _, found["knowledge_preparation_cpu_seconds"] = timed(
            lambda: prepare_views(KNOWLEDGE, vectors, samples, train.folds)
        )
        found["knowledge_samples_per_cpu_second"] = measure(KNOWLEDGE, vectors)
    found["peak_memory_mib"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    print(json.dumps(found))


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    """Run a function; return its result, and its CPU seconds."""
    begun = time.process_time()
    return work(), round(time.process_time() - begun, 2)


if __name__ == "__main__":
    main()
