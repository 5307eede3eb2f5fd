"""Speed of bulk retrieval: CPU seconds until every row of MovieLens small has its in-context examples.

Run:   python benchmarks/retrieval_speed.py
Reads: examples/movielens, and the examples of its newest release (make demo); without one, 632 random training rows and
       random vectors of the same sizes, which take the same time.
The last line printed is one JSON object. The time includes all steps of an arm before training: finding the pool,
encoding histories and items, comparing every training, validation and test row with the pool, and measuring recall.
"""

import json
import resource
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from app.config import load_config
from app.samples import open_samples, read_vectors_of
from app.workplace import open_store
from ctr.adapters.in_context import prepare
from ctr.samples import Samples
from feature_store.releases import NoRelease, get_release
from feature_store.vectors import Knowledge
from llm_tasks.cot_examples import LLM_CF
from retrieval.examples import STRICT
from sources.tables import event_id

CONFIG = Path(__file__).resolve().parents[1] / "examples" / "movielens" / "knowflow.yaml"
EXAMPLES, WIDTH = 632, 384
RUNS = 3


def main() -> None:
    """Measure, and print the results."""
    torch.set_num_threads(1)
    samples = open_samples(load_config(CONFIG))
    knowledge = read_examples(samples)
    begun = time.process_time()
    shown, seconds = prepare(knowledge, samples, STRICT), [time.process_time() - begun]
    for _ in range(RUNS - 1):
        begun = time.process_time()
        prepare(knowledge, samples, STRICT)
        seconds.append(time.process_time() - begun)
    rows, seconds = len(shown.chosen), [round(one, 2) for one in seconds]
    print(f"{rows:,} rows, {len(shown.sample)} examples: {', '.join(map(str, seconds))} CPU seconds")
    found = {"rows": rows, "cpu_seconds": min(seconds), "rows_per_cpu_second": round(rows / min(seconds))}
    found["peak_memory_mib"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    print(json.dumps(found | dict(shown.facts)))


def read_examples(samples: Samples) -> Sequence[Knowledge]:
    """Return the vectors that the arm llm-cf reads, or random ones of the same sizes without a release."""
    config = load_config(CONFIG)
    try:
        vectors = read_vectors_of(config, get_release(open_store(config)), [LLM_CF])
    except NoRelease as error:
        print(f"made-up vectors stand in: {error}")
        return made_up(samples)
    return [vectors[name] for name in LLM_CF.vectors]


def made_up(samples: Samples) -> Sequence[Knowledge]:
    """Return random vectors, for random training rows and for all items."""
    random = np.random.default_rng(0)
    rows = np.sort(random.choice(np.flatnonzero(samples.part == 0), EXAMPLES, replace=False))
    users, items = samples.user_ids[samples.user[rows]], samples.item_ids[samples.item[rows]]
    events = np.array([event_id(str(user), str(item)) for user, item in zip(users, items, strict=True)])
    epoch = np.zeros(len(samples.item_ids), dtype="datetime64[us]")
    return [
        Knowledge("cot_examples", "dense", "event", events, samples.time[rows], _normal(random, len(rows))),
        Knowledge("item_facts", "dense", "item", samples.item_ids, epoch, _normal(random, len(samples.item_ids))),
    ]


def _normal(random: np.random.Generator, rows: int) -> np.ndarray:
    return random.standard_normal((rows, WIDTH), dtype=np.float32)


if __name__ == "__main__":
    main()
