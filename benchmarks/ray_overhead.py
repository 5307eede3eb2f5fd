"""Overhead of the executor ray: CPU time of a row with two actors over that in one process, after the start.

Run:   .venv/bin/python benchmarks/keep.py ray_overhead
Each run is a process of its own that plans, asks, parses and commits the facts of as many items. The engine answers at
once, so that only our own work and what Ray adds are compared; with a model, both are next to nothing. First each run
does the same with 32 other rows, and starts its actors: that is the start. Then the CPU time of all its processes is
measured, until the actors end: the command, the actors and the cluster's own. The executors alternate; the median of
each counts. The texts of both are compared. The last line printed is one JSON object.
"""

import argparse
import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any
from unittest.mock import patch

import polars as pl
import psutil
import yaml

ROOT = Path(__file__).resolve().parents[1]
ACTORS, FEW = 2, 32
EXECUTORS = ("local", "ray")


def main() -> None:
    """Measure both executors, print the costs of a row."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--run", type=Path, help="measure the shops in this folder in this process")
    chosen = parser.parse_args()
    if chosen.run:
        measure(chosen.run)
        return
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in EXECUTORS}
    with tempfile.TemporaryDirectory() as folder:
        for repetition in range(chosen.repetitions):
            for name in EXECUTORS:
                found[name].append(run(Path(folder) / f"{name}-{repetition}", chosen.rows, name))
                print(name, found[name][-1], flush=True)
    if len({one["texts"] for ones in found.values() for one in ones}) != 1:
        sys.exit("the two executors did not answer alike")
    rows, starts = ({name: [one[what] for one in ones] for name, ones in found.items()} for what in ("rows", "start"))
    cost = {name: statistics.median(seconds) / chosen.rows * 1_000 for name, seconds in rows.items()}
    print(json.dumps({"rows": chosen.rows, "actors": ACTORS, "ratio": round(cost["ray"] / cost["local"], 4),
                      "added_microseconds_a_row": (cost["ray"] - cost["local"]) * 1_000,
                      "local_ms_a_row": cost["local"], "ray_ms_a_row": cost["ray"],
                      "local_start_seconds": statistics.median(starts["local"]),
                      "ray_start_seconds": statistics.median(starts["ray"]),
                      "all_local": rows["local"], "all_ray": rows["ray"]}))  # fmt: skip


def run(folder: Path, rows: int, executor: str) -> dict[str, Any]:
    """Measure one executor in a fresh process."""
    write_shop(folder / "few", FEW, executor)
    write_shop(folder / "all", rows, executor)
    command = [sys.executable, __file__, "--run", str(folder)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT)
    return json.loads(done.stdout.splitlines()[-1])


def measure(folder: Path) -> None:
    """Ask for all rows after a start; print CPU seconds of both, and a hash of all texts."""
    from tiny_shop import TASK, open_shop, refresh_answers  # noqa: PLC0415 - the process that starts runs needs none

    from base.progress import silent  # noqa: PLC0415
    from engines.ray.pool import Pool  # noqa: PLC0415
    from feature_store.answers import known_answers, read_answers  # noqa: PLC0415
    from llm_tasks.pipeline.catalogue import choose_tasks  # noqa: PLC0415
    from llm_tasks.pipeline.generate import generate  # noqa: PLC0415
    from llm_tasks.pipeline.plan import plan_task  # noqa: PLC0415

    refresh_answers(folder / "few" / "knowflow.yaml")
    place = open_shop(folder / "all" / "knowflow.yaml")
    getattr(place.engine, "prepare", lambda _: None)(None)
    own, others = cpu_seconds(), cpu_of_children()
    at_end, closing = [others], [0.0]
    close = Pool.close

    def close_and_note(pool: Pool) -> None:
        """Note what the others took before they end, and what the end takes."""
        at_end.append(cpu_of_children())
        before = cpu_seconds()
        close(pool)
        closing.append(cpu_seconds() - before)

    with patch.object(Pool, "close", close_and_note), place.store.writer("a benchmark") as writer:
        done = generate(plan_task(choose_tasks([TASK])[0], place, count_tokens=False), place, writer, silent)
    assert done.answered == done.calls == done.rows, done
    spent = cpu_seconds() - own - closing[-1] + at_end[-1] - others
    texts = read_answers(place.store, known_answers(place.store))["text"].to_list()
    digest = hashlib.sha256("\0".join(sorted(texts)).encode()).hexdigest()
    print(json.dumps({"rows": round(spent, 3), "start": round(own + others, 3), "texts": digest}))


def cpu_seconds() -> float:
    """Return the CPU seconds of this process."""
    times = psutil.Process().cpu_times()
    return times.user + times.system


def cpu_of_children() -> float:
    """Return the CPU seconds of all processes below this one that run."""
    total = 0.0
    for one in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            times = one.cpu_times()
            total += times.user + times.system
    return total


def write_shop(folder: Path, rows: int, executor: str) -> None:
    """Write the data and knowflow.yaml of a shop with as many items."""
    folder.mkdir(parents=True)
    items = [f"i{place}" for place in range(rows)]
    titles = [f"Thing {place} of the shop" for place in range(rows)]
    pl.DataFrame({"item": items, "title": titles}).write_parquet(folder / "items.parquet")
    bought = {"user": ["u"], "item": ["i0"], "time": ["2024-01-01T00:00:00Z"], "rating": [5.0]}
    pl.DataFrame(bought).write_parquet(folder / "events.parquet")
    settings = {
        "plugins": [str(ROOT / "benchmarks" / "own_data_engine")],
        "engine": {"name": "echo", "model": "echo"},
        "events": {"path": "events.parquet", "user": "user", "item": "item", "time": "time", "rating": "rating"},
        "label": {"rating_at_least": 4},
        "items": {"path": "items.parquet", "id": "item", "title": "title"},
        "tasks": {"kar_item": {}},
        "executor": {"name": executor, "actors": ACTORS},
    }
    (folder / "knowflow.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")


if __name__ == "__main__":
    main()
