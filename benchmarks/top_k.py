"""Evaluate recommenders on MovieLens small: all items are candidates, at every test moment.

Run:   .venv/bin/knowflow refresh --config examples/movielens/knowflow.yaml   (once: item vectors)
       .venv/bin/python benchmarks/top_k.py [SEEDS]
       .venv/bin/python benchmarks/keep.py top_k

`star` is measured with the vectors of the films' facts and, as `star, knowledge`, with those of recorded knowledge.
"""

import json
import sys
from pathlib import Path
from typing import Any

from app.config import load_config
from app.recommend_evaluation import evaluate_recommenders
from base.progress import silent

CONFIG = Path(__file__).parents[1] / "examples" / "movielens" / "knowflow.yaml"
KNOWLEDGE = {"star": {"vectors": "kar_item/dense"}}
SHOWN = ("recall@10", "ndcg@10", "mrr@10", "hit@10", "coverage@10", "popularity@10", "novelty@10")


def main() -> None:
    """Evaluate the models, print their figures, and all of them as JSON in the last line."""
    config, seeds = load_config(CONFIG), int(sys.argv[1]) if len(sys.argv) > 1 else 1
    found = evaluate_recommenders(config, silent, ["sasrec", "star"], seeds=seeds)
    knowing = evaluate_recommenders(config, silent, ["star"], KNOWLEDGE)
    found["models"]["star, knowledge"] = knowing["models"]["star"]
    found["about"]["star, knowledge"] = "star with vectors of recorded knowledge"
    for name, of in found["models"].items():
        print(f"{name:16}", *(f"{figure} {of['all'][figure]['mean']:.4f}" for figure in SHOWN))
    print(json.dumps(of_ten(found)))


def of_ten(found: dict[str, Any]) -> dict[str, Any]:
    """Keep the figures for lists of ten: all of them over all requests, one in every segment."""
    models = {
        name: {
            segment: {
                figure: one for figure, one in of.items() if figure in (SHOWN if segment == "all" else SHOWN[1:2])
            }
            for segment, of in segments.items()
        }
        for name, segments in found["models"].items()
    }
    return {**found, "models": models}


if __name__ == "__main__":
    main()
