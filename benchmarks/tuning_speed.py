"""Tuning speed: tokens per CPU-second, packed and unpacked, an adapter on half a million parameters, one thread.

Run:   python benchmarks/tuning_speed.py
Reads: examples/movielens; model and instructions are made on the fly (benchmarks/tuning_toy.py).
The last line printed is one JSON object. The model is far smaller than any real one, so the figures show the cost of
packing and the Trainer, not the time of a real tuning.
"""

import json
import resource
import tempfile
import time
from pathlib import Path

import torch
from tuning_toy import make_toy

from app.config import load_config
from app.workplace import open_dataset
from base.progress import silent
from prompts.domain import load_domain
from tuning.base import find_base
from tuning.config import TuningConfig
from tuning.mixture import mix
from tuning.supervised import tune

CONFIG = Path(__file__).resolve().parents[1] / "examples" / "movielens" / "knowflow.yaml"
ROWS = 240


def main() -> None:
    """Measure, and print the results."""
    torch.set_num_threads(1)
    shop = load_config(CONFIG)
    dataset, domain = open_dataset(shop), load_domain(shop.domain, shop.folder)
    found: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        model, instructions = make_toy(Path(folder), ROWS)
        base = find_base(model, {})
        for name, pack in (("packed", True), ("unpacked", False)):
            config = TuningConfig(pack=pack, held_out=0)
            begun = time.process_time()
            mixture = mix(dataset, domain, config, instructions)
            found["mixing_cpu_seconds"] = round(time.process_time() - begun, 2)
            begun = time.process_time()
            learnt = tune(base, mixture, config, Path(folder) / name, silent)["learnt"]
            seconds = time.process_time() - begun
            found[f"{name}_tokens_per_cpu_second"] = round(learnt["tokens"] / seconds)
            found[f"{name}_rows"] = learnt["rows"]
            print(f"{name:9} {learnt['tokens']:,} tokens in {learnt['rows']:,} rows: {seconds:.1f} CPU-seconds")
    found["peak_memory_mib"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
