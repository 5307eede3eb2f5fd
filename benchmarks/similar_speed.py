"""Neighbours by the index of vectors against comparing all of them: time of a question, recall@10, cost of the index.

Run:   .venv/bin/python benchmarks/keep.py similar_speed
       .venv/bin/python benchmarks/similar_speed.py shop-100000 clustered-200000-64
Needs: 4 GiB of memory.

`clustered-N-D` are N random vectors of length D in clusters of 200 that overlap: the noise around a centre is as large
as the centres are. `shop-N` is the growth benchmark's shop with N items and as many users, with lexical vectors of
length 64 of answers that the engine made up. A question asks for the 10 nearest; an answer counts when it is at most as
far as the tenth of the exact search, which a reference in NumPy confirms. `late` are 1% more vectors, which stay
outside the index, and questions for these. Milliseconds are medians of 200 questions, beside whatever else the machine
does. The last line printed is one JSON object.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import growth
import numpy as np
import yaml

import knowflow
from app.config import load_config
from app.workplace import open_store
from feature_store.database import Store
from feature_store.lineage import VectorName
from feature_store.near import PinnedVectors, open_vectors
from feature_store.releases import Release, ReleasedVectors, get_release, publish
from feature_store.retention import disk_use
from feature_store.vector_index import SHARE_READ, update_index
from feature_store.vectors import write_vectors
from retrieval.similar import open_items

CASES = ("shop-100000", "clustered-100000-384", "clustered-200000-64", "clustered-1000000-64")
QUESTIONS, NEAREST = 200, 10
NAME = VectorName("facts", "dense")
CLUSTER = 200


def main() -> None:
    """Measure every case in a folder of its own."""
    found = {}
    for case in sys.argv[1:] or CASES:
        kind, *sizes = case.split("-")
        with TemporaryDirectory() as folder:
            measured = CASE[kind](Path(folder), *map(int, sizes))
        found[case] = measured
        print(f"{case}: {measured}", file=sys.stderr, flush=True)
    print(json.dumps({"share_read": SHARE_READ, "cases": found}))


def clustered(folder: Path, count: int, width: int) -> dict[str, Any]:
    """Measure random vectors in clusters."""
    chance, store = np.random.default_rng(0), Store(folder / "store")
    centres = chance.standard_normal((count // CLUSTER, width), dtype=np.float32)
    vectors = centres[chance.integers(0, len(centres), count + count // 100)]
    vectors += chance.standard_normal(vectors.shape, dtype=np.float32)
    keys = [f"t{place}" for place in range(len(vectors))]
    with store.writer("a benchmark") as writer:
        write_vectors(writer, NAME, "f", keys[:count], vectors[:count])
        size = disk_use(store)[0]
        made, seconds = timed(lambda: update_index(writer, NAME, width, "f"))
        assert made, "no index was due"
        built = {"index_cpu_seconds": seconds, "index_mb": round((disk_use(store)[0] - size) / 1e6, 1)}
        first = released(writer, width)
        write_vectors(writer, NAME, "f", keys[count:], vectors[count:])
        _, built["late_cpu_seconds"] = timed(lambda: update_index(writer, NAME, width, "f"))
        second = released(writer, width)
    found = {"vectors": count, "width": width, "mb": round(size / 1e6, 1), **built}
    for name, release, last in (("", first, count), ("late_", second, len(vectors))):
        opened = open_vectors(store, release, NAME, ReleasedVectors("f", width))
        assert opened is not None
        known = vectors[:last].astype(np.float16).astype(np.float32)
        places = chance.integers(last - count // 100, last, QUESTIONS)
        found |= {f"{name}{what}": value for what, value in searched(opened, known[places]).items()}
        check_exact(opened, known, places[:5])
    return found


def released(writer: Any, width: int) -> Release:
    """Publish what there is."""
    return publish(writer, {"vectors": {str(NAME): {"fingerprint": "f", "dimension": width}}})


def shop(folder: Path, items: int) -> dict[str, Any]:
    """Measure the items of a shop of the growth benchmark, and questions to an opened project."""
    growth.make_shop(folder, items, users_an_item=1)
    path = folder / "knowflow.yaml"
    settings = yaml.safe_load(path.read_text(encoding="utf-8"))
    path.write_text(yaml.safe_dump(settings | {"tasks": {"kar_item": {}}}), encoding="utf-8")
    for step in (growth.ask, growth.encode, growth.publish):
        step(path)
    store = open_store(load_config(path))
    release, begun = get_release(store), time.perf_counter()
    opened = open_items(store, release, "kar_item", "lexical")
    found: dict[str, Any] = {"vectors": items, "width": 64, "open_ms": round(1e3 * (time.perf_counter() - begun), 1)}
    assert opened.vectors is not None
    places = opened.vectors.texts["place"].sample(QUESTIONS, seed=0).to_list()
    found |= searched(opened.vectors, opened.vectors.read(places))
    project, taken = knowflow.open(path), []
    for number in range(21):
        begun = time.perf_counter()
        project.similar(f"i{number}", task="kar_item", encoder="lexical")
        taken.append(1e3 * (time.perf_counter() - begun))
    return found | {"project_first_ms": round(taken[0], 1), "project_ms": round(float(np.median(taken[1:])), 1)}


def searched(opened: PinnedVectors, asked: np.ndarray) -> dict[str, float]:
    """Ask by the index and exactly; return recall and times."""
    assert opened.probes, "there is no index"
    hits, taken = 0, {True: [], False: []}
    for vector in asked:
        near = {}
        for exact in (False, True):
            begun = time.perf_counter()
            near[exact] = opened.nearest(vector, NEAREST, exact=exact)["distance"].to_numpy()
            taken[exact].append(1e3 * (time.perf_counter() - begun))
        hits += int((near[False] <= near[True][-1] + 1e-6).sum())
    ms = {name: round(float(np.median(taken[exact])), 1) for name, exact in (("ms", False), ("exact_ms", True))}
    return {"recall": round(hits / (len(asked) * NEAREST), 4), **ms}


def check_exact(opened: PinnedVectors, known: np.ndarray, places: np.ndarray) -> None:
    """Compare the exact search with NumPy."""
    unit = known / np.linalg.norm(known, axis=1, keepdims=True)
    for place in places:
        wanted = np.sort(1 - unit @ unit[place])[:NEAREST]
        got = opened.nearest(known[place], NEAREST, exact=True)["distance"].to_numpy()
        np.testing.assert_allclose(got, wanted, atol=1e-4)


def timed(do: Callable[[], Any]) -> tuple[Any, float]:
    """Return what a function returns and its CPU seconds."""
    begun = sum(os.times()[:2])
    result = do()
    return result, round(sum(os.times()[:2]) - begun, 2)


CASE: dict[str, Callable[..., dict[str, Any]]] = {"clustered": clustered, "shop": shop}

if __name__ == "__main__":
    main()
