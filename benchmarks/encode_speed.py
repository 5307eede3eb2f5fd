"""Encoding speed on the example's texts: CPU-seconds before and now, and the difference of the vectors.

Run:   nice .venv/bin/python benchmarks/encode_speed.py [--every 24]
       Without AVX-512: MKL_ENABLE_INSTRUCTIONS=AVX2 ONEDNN_MAX_CPU_ISA=AVX2 ATEN_CPU_CAPABILITY=avx2
Reads: the texts of examples/movielens in its store (make demo); every 24th of each technique's, by default.
The last line printed is one JSON object. Before: batches sorted by characters. Now: by tokens.
Lexical encoders are fitted on all texts; before in float64, on all threads.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer

from app.config import load_config
from app.workplace import encoders_of, open_store
from base.progress import silent
from encoders.dense import DenseEncoder
from encoders.lexical import FEW_TEXTS, MOST_TERMS, LexicalEncoder
from llm_tasks.pipeline.encode import task_texts

CONFIG = Path(__file__).resolve().parents[1] / "examples" / "movielens" / "knowflow.yaml"
BATCH, AT_ONCE = 32, 2_048


def main() -> None:
    """Measure each encoder before and now, and print the results."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--config", type=Path, default=CONFIG)
    parser.add_argument("--every", type=int, default=24)
    said = parser.parse_args()
    torch.set_num_threads(1)
    config = load_config(said.config)
    texts = {name: list(task_texts(open_store(config), name).values()) for name in config.tasks}
    texts = {name: some for name, some in texts.items() if some and encoders_of(config, name)}
    found = {"isa": torch.backends.cpu.get_cpu_capability(), **dense({n: t[:: said.every] for n, t in texts.items()})}
    found |= lexical(texts)
    print(json.dumps(found))


def dense(texts: dict[str, list[str]]) -> dict[str, Any]:
    """Measure the dense encoder: one vector per text, batches by characters against batches by tokens."""
    encoder = DenseEncoder("all-MiniLM-L6-v2", "mean", 256, BATCH)
    encoder.encode(["warm"], silent)
    before, now, apart = 0.0, 0.0, 0.0
    for some in texts.values():
        old, taken = timed(lambda some=some: by_characters(encoder, some))
        new, took = timed(lambda some=some: encoder.encode(some, silent))
        before, now, apart = before + taken, now + took, max(apart, float((1 - (old * new).sum(1)).max()))
    number = sum(map(len, texts.values()))
    print(f"dense    {number:,} texts: {before:.1f} CPU-seconds before, {now:.1f} now; worst 1 - cos {apart:.1e}")
    return {
        "texts": number,
        "cpu_seconds_before": round(before, 2),
        "cpu_seconds": round(now, 2),
        "worst_cosine": 1 - apart,
    }


def by_characters(encoder: DenseEncoder, texts: list[str]) -> np.ndarray:
    """Encode with the old batches: sorted by characters, padded to the longest, in order."""
    out = np.zeros((len(texts), encoder.dimension), np.float32)
    order = np.argsort([-len(text) for text in texts], kind="stable")
    for start in range(0, len(order), BATCH):
        batch = order[start : start + BATCH]
        out[batch] = encoder.encode([texts[i] for i in batch], silent)
    return out


def lexical(texts: dict[str, list[str]]) -> dict[str, Any]:
    """Measure the lexical encoders: the cost of a fit, and the difference of the cosines between texts."""
    before, now, apart = 0.0, 0.0, 0.0
    for some in texts.values():
        old, taken = timed(lambda some=some: fit_before(some))
        new, took = timed(lambda some=some: LexicalEncoder.fit(some, 384))
        first, other = (one[:500] for one in (old, new.encode(some, silent)))
        before, now, apart = (
            before + taken,
            now + took,
            max(apart, float(np.abs(first @ first.T - other @ other.T).max())),
        )
    print(f"lexical  {before:.1f} CPU-seconds before, {now:.1f} now; cosines of texts move by {apart:.1e}")
    return {
        "lexical_cpu_seconds_before": round(before, 2),
        "lexical_cpu_seconds": round(now, 2),
        "lexical_cosines_apart": apart,
    }


def fit_before(texts: list[str]) -> np.ndarray:
    """Fit the old way: float64, on all threads. Return the texts' vectors, [n, d]."""
    rarest = 2 if len(set(texts)) >= FEW_TEXTS else 1
    vectorizer = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=rarest, max_features=MOST_TERMS)
    weights = vectorizer.fit_transform(sorted(set(texts)))
    svd = TruncatedSVD(n_components=min(384, weights.shape[0] - 1, weights.shape[1] - 1), random_state=0).fit(weights)
    vectors = svd.transform(vectorizer.transform(texts))
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    """Run a function; return its result, and its CPU seconds."""
    begun = time.process_time()
    return work(), time.process_time() - begun


if __name__ == "__main__":
    main()
