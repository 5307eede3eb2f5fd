"""Training speed of LLM-CF's in-context module: samples per CPU-second with four examples each, on one thread.

Run:   python benchmarks/ict_speed.py
Reads: the same as benchmarks/retrieval_speed.py.
The last line printed is one JSON object; `samples_per_cpu_second` is the best of three runs of one epoch over the
training rows of MovieLens small, with the reconstruction loss, to reduce the effect of other work on the machine;
`base_samples_per_cpu_second` is the same model without the module, measured in the same run.
"""

import json
import resource

import torch
from retrieval_speed import CONFIG, RUNS, read_examples

from app.config import load_config
from app.samples import open_samples
from base.progress import silent
from ctr.arms.base import BASE
from ctr.batch import Batches
from ctr.compare import prepare_views
from ctr.config import TrainConfig
from ctr.learners import make_model
from ctr.train import train
from llm_tasks.cot_examples import LLM_CF


def main() -> None:
    """Measure, and print the results."""
    torch.set_num_threads(1)
    config, samples = TrainConfig(backbone="dcnv2", search=(), seeds=(0,)), open_samples(load_config(CONFIG))
    knowledge = dict(zip(LLM_CF.vectors, read_examples(samples), strict=True))
    speeds: dict[str, list[float]] = {}
    for arm in (BASE, LLM_CF):
        views = prepare_views(arm, knowledge, samples, config.folds)
        batches = Batches(samples, views)
        for _ in range(RUNS):
            model = make_model(arm, views, batches, samples, config, 0)
            speed = train(model, batches, samples, config, 0, silent).samples_per_cpu_second
            speeds.setdefault(arm.name, []).append(speed)
        told = ", ".join(f"{speed:,.0f}" for speed in speeds[arm.name])
        print(f"{arm.name:7s} {max(speeds[arm.name]):>9,.0f} samples a CPU-second  ({told})")
    found = {
        "rows": int((samples.part == 0).sum()),
        "backbone": config.backbone,
        "batch_size": config.batch_size,
        "examples_a_sample": config.examples.count,
        "base_samples_per_cpu_second": round(max(speeds[BASE.name])),
        "samples_per_cpu_second": round(max(speeds[LLM_CF.name])),
        "peak_memory_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
