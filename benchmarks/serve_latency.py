"""Latency of an exported model: one user and 1,000 candidates, on one core, in process and over HTTP.

Run:   python benchmarks/serve_latency.py [--config KNOWFLOW_YAML]
Reads: the data of the config (examples/movielens by default) and the vectors of its newest release, if there is one.

DIN is trained on it twice: without knowledge, and with the arm `knowledge` if there is a release. Each model is
exported and answered from in a process of its own, bound to one core, with one thread; ids go in and probabilities come
out. The server over HTTP is the one of examples/serve, bound to one core; its client runs on any.
The last line printed is one JSON object. Percentiles are those of the best of five rounds, to reduce the effect of
other work on the machine.
"""

import argparse
import http.client
import json
import os
import runpy
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
CONFIG = ROOT / "examples" / "movielens" / "knowflow.yaml"
CANDIDATES, REQUESTS, ROUNDS = 1_000, 200, 5
CHECKED = 5
"""Users whose scores are compared with those of the kept model in batches."""


def main() -> None:
    """Train, export and measure; or be one of the processes that are measured."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--config", type=Path, default=CONFIG)
    parser.add_argument("--measure", type=Path, help="a bundle to answer from, in this process")
    parser.add_argument("--serve", nargs=2, metavar=("BUNDLE", "PORT"), help="a bundle to answer from over HTTP")
    given = parser.parse_args()
    if given.measure or given.serve:
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        measure(given.measure) if given.measure else serve(Path(given.serve[0]), int(given.serve[1]))
        return
    with TemporaryDirectory() as folder:
        print(json.dumps({"candidates": CANDIDATES, "backbone": "din", **compared(given.config, Path(folder))}))


def compared(config_path: Path, folder: Path) -> dict[str, Any]:
    """Measure DIN without knowledge, in process and over HTTP, and with it where there is a release."""
    import torch  # noqa: PLC0415 - not in the processes that are measured

    from app.config import load_config  # noqa: PLC0415
    from app.samples import read_vectors_of  # noqa: PLC0415
    from app.workplace import open_dataset, open_store  # noqa: PLC0415
    from ctr.arms.base import BASE  # noqa: PLC0415
    from feature_store.releases import NoRelease, get_release  # noqa: PLC0415
    from llm_tasks.kar_item import KNOWLEDGE  # noqa: PLC0415

    torch.set_num_threads(1)
    config = load_config(config_path)
    dataset = open_dataset(config)
    base = bundle_of(BASE, {}, dataset, folder / "base")
    found = in_process(base) | over_http(base)
    found["http_overhead_ms"] = round(found["http_p50_ms"] - found["p50_ms"], 2)
    print(found)
    try:
        vectors = read_vectors_of(config, get_release(open_store(config)), [KNOWLEDGE])
    except NoRelease as error:
        print(f"knowledge is left out: {error}")
        return found
    measured = in_process(bundle_of(KNOWLEDGE, vectors, dataset, folder / "knowledge"))
    kept = ("p50_ms", "p95_ms", "memory_mib", "difference_millionths")
    return found | {f"knowledge_{key}": measured[key] for key in kept}


def bundle_of(arm: Any, vectors: Mapping[str, Any], dataset: Any, folder: Path) -> Path:
    """Train, keep and export one arm; write down what some users' scores must be."""
    import polars as pl  # noqa: PLC0415

    from ctr.compare import train_arm  # noqa: PLC0415
    from ctr.config import TrainConfig  # noqa: PLC0415
    from ctr.kept import ItemFields, keep, open_kept, score_rows  # noqa: PLC0415
    from ctr.pairs import pair_samples  # noqa: PLC0415
    from ctr.samples import build_samples  # noqa: PLC0415
    from ctr.serving.export import export_model  # noqa: PLC0415
    from ctr.serving.rows import live_samples  # noqa: PLC0415
    from sources.events import histories  # noqa: PLC0415

    samples = build_samples(dataset, histories(dataset.events))
    result = train_arm(arm, vectors, samples, TrainConfig(backbone="din", search=(), seeds=(0,)))
    assert result.best is not None  # it learns
    keep(folder / "kept", arm, result.best, samples, "none", ItemFields.of(dataset))
    kept = open_kept(folder / "kept")
    begun = time.perf_counter()
    export_model(folder / "bundle", kept, vectors, *live_samples(dataset, kept, vectors), {"release": "none"})
    print(f"{arm.name}: exported in {time.perf_counter() - begun:,.0f} s")
    users, items = dataset.events["user"].unique().sort()[:CHECKED], dataset.items["item"][:CANDIDATES]
    pairs = users.to_frame().join(items.to_frame(), how="cross", maintain_order="left")
    pairs = pairs.with_columns(time=pl.lit(None, dtype=pl.Datetime("us", "UTC")))
    asked = pair_samples(dataset, pairs, kept, vectors)
    scores = score_rows(kept, vectors, asked, np.arange(len(asked.label) - len(pairs), len(asked.label)))
    wanted = {"users": users.to_list(), "items": items.to_list(), "scores": scores.reshape(CHECKED, -1)}
    np.savez(folder / "bundle" / "wanted.npz", **wanted)
    return folder / "bundle"


def in_process(bundle: Path) -> dict[str, Any]:
    """Measure a bundle in a process of its own."""
    command = [sys.executable, __file__, "--measure", str(bundle)]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def measure(folder: Path) -> None:
    """Answer from a bundle in this process, and print the percentiles and the memory."""
    from ctr.serving.bundle import open_bundle  # noqa: PLC0415

    begun = time.perf_counter()
    bundle = open_bundle(folder)
    bundle.score("", [""])
    opened = time.perf_counter() - begun
    with np.load(folder / "wanted.npz") as wanted:
        found = [bundle.score(str(user), [str(item) for item in wanted["items"]]) for user in wanted["users"]]
        difference = float(np.abs(np.stack(found) - wanted["scores"]).max())
    p50, p95 = percentiles(bundle.score, *asked_of(folder))
    facts = {"p50_ms": p50, "p95_ms": p95, "open_seconds": round(opened, 2), "memory_mib": memory_mib(os.getpid())}
    print(json.dumps({**facts, "difference_millionths": round(1e6 * difference, 3)}))


def asked_of(folder: Path) -> tuple[list[str], list[str]]:
    """Return all users and all items of a bundle."""
    users, items = (json.loads((folder / f"{name}.json").read_text("utf-8")) for name in ("users", "items"))
    return users, items


def percentiles(ask: Callable[[str, list[str]], object], users: list[str], items: list[str]) -> tuple[float, float]:
    """Ask for random users and candidates; return p50 and p95 in milliseconds, of the best round."""
    random = np.random.default_rng(0)
    best = (np.inf, np.inf)
    for _ in range(ROUNDS):
        seconds = []
        for _ in range(REQUESTS):
            user = users[random.integers(len(users))]
            candidates = [items[place] for place in random.integers(len(items), size=CANDIDATES)]
            begun = time.perf_counter()
            ask(user, candidates)
            seconds.append(time.perf_counter() - begun)
        best = min(best, tuple(1e3 * np.percentile(seconds, (50, 95))))
    return round(float(best[0]), 2), round(float(best[1]), 2)


def over_http(bundle: Path) -> dict[str, Any]:
    """Measure the example's server with one client that keeps its connection."""
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    begun = time.perf_counter()
    process = subprocess.Popen([sys.executable, __file__, "--serve", str(bundle), str(port)])
    try:
        connection = connected(port, process)
        ask_over(connection, "", [""])
        started = time.perf_counter() - begun
        p50, p95 = percentiles(lambda user, items: ask_over(connection, user, items), *asked_of(bundle))
        memory = memory_mib(process.pid)
    finally:
        process.terminate()
        process.wait()
    return {
        "http_p50_ms": p50,
        "http_p95_ms": p95,
        "server_start_seconds": round(started, 2),
        "server_memory_mib": memory,
    }


def serve(folder: Path, port: int) -> None:
    """Be the example's server, with a bundle that stays."""
    import uvicorn  # noqa: PLC0415

    example = runpy.run_path(str(ROOT / "examples" / "serve" / "server.py"))
    bundle = example["open_bundle"](folder)
    ended = threading.Event()
    current = SimpleNamespace(bundle=bundle, error=None, ended=ended, watch=ended.wait)
    uvicorn.run(example["create_app"](current), port=port, log_level="warning", access_log=False)


def connected(port: int, process: subprocess.Popen[bytes]) -> http.client.HTTPConnection:
    """Wait until the server listens."""
    while process.poll() is None:
        connection = http.client.HTTPConnection("127.0.0.1", port)
        try:
            connection.connect()
        except OSError:
            time.sleep(0.02)
        else:
            return connection
    raise RuntimeError(f"the server ended with exit code {process.returncode}")


def ask_over(connection: http.client.HTTPConnection, user: str, items: list[str]) -> dict[str, Any]:
    """Ask the server."""
    body = json.dumps({"user": user, "items": items})
    connection.request("POST", "/score", body, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    said = json.loads(answer.read())
    if answer.status != 200:
        raise RuntimeError(f"the server said {answer.status}: {said}")
    return said


def memory_mib(process: int) -> int:
    """Return the resident memory of a process."""
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 2**20)


if __name__ == "__main__":
    main()
