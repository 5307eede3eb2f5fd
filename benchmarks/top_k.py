"""Evaluate recommenders on MovieLens small: all items are candidates, at every test moment.

Run:   .venv/bin/knowflow refresh --config examples/movielens/knowflow.yaml   (once: item vectors)
       .venv/bin/knowflow codes rqvae --vectors item_facts/dense --config examples/movielens/knowflow.yaml   (once)
       .venv/bin/python benchmarks/top_k.py [SEEDS]
       .venv/bin/python benchmarks/keep.py top_k

`star` is measured with the vectors of the films' facts and, as `star, knowledge`, with those of recorded knowledge. One
thread; `cpu_seconds` are those of training. `tiger` is smaller than by default, one layer and histories of ten events:
by default an epoch takes 123 CPU-seconds, ten of them more than the 20 minutes a figure may take.
"""

import json
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from app.config import load_config
from app.recommend_evaluation import evaluate_recommenders

CONFIG = Path(__file__).parents[1] / "examples" / "movielens" / "knowflow.yaml"
AT, PEERS = (10,), ("sasrec",)
OPTIONS = {"tiger": {"layers": 1, "length": 10}}
KNOWLEDGE = {"star": {"vectors": "kar_item/dense"}}
SHOWN = (
    "recall@10",
    "ndcg@10",
    "mrr@10",
    "hit@10",
    "coverage@10",
    "popularity@10",
    "novelty@10",
)
OF_SEGMENTS = ("ndcg@10",)


def main() -> None:
    """Evaluate the models, print their figures, and all of them as JSON on the last line."""
    torch.set_num_threads(1)
    config, seeds, clock = load_config(CONFIG), int(sys.argv[1]) if len(sys.argv) > 1 else 1, Clock()
    found = evaluate_recommenders(config, clock, ["star", "tiger"], OPTIONS, seeds=seeds, at=AT, peers=PEERS)
    knowing = evaluate_recommenders(config, Clock(), ["star"], KNOWLEDGE, at=AT, peers=PEERS)
    found["models"]["star, knowledge"] = knowing["models"]["star"]
    found["about"]["star, knowledge"] = "star with vectors of recorded knowledge"
    for name, of in found["models"].items():
        print(f"{name:16}", *(f"{figure} {of['all'][figure]['mean']:.4f}" for figure in SHOWN))
    print(json.dumps({**shortened(found), "cpu_seconds": clock.took}))


@dataclass
class Clock:
    """Takes the time of what reports progress, and shows it."""

    took: dict[str, float] = field(default_factory=dict)
    """Step -> CPU-seconds since its first report."""
    _begun: dict[str, float] = field(default_factory=dict)

    def __call__(self, what: str, done: int, total: int) -> None:
        """Note one report."""
        now = time.process_time()
        self.took[what] = now - self._begun.setdefault(what, now)
        print(f"{what}: {done} of {total}, {self.took[what]:.0f} CPU-seconds", file=sys.stderr, flush=True)


def shortened(found: dict[str, Any]) -> dict[str, Any]:
    """Keep the figures that are shown: all of them over all requests, some in every segment."""
    models = {
        name: {
            segment: {
                figure: one for figure, one in of.items() if figure in (SHOWN if segment == "all" else OF_SEGMENTS)
            }
            for segment, of in segments.items()
        }
        for name, segments in found["models"].items()
    }
    return {**found, "models": models}


if __name__ == "__main__":
    main()
