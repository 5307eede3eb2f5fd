"""The memory of a training run: what each arm takes for itself, and how many train at once on a machine with less.

Run:   .venv/bin/python benchmarks/keep.py arm_memory [.venv/bin/python benchmarks/arm_memory.py --users 200000]
Makes: the shop of `benchmarks/growth.py`, in a temporary folder, and a release of it.

Trains four arms, one seed and one epoch each, as on a machine of four cores: first by cores alone; then by memory, as
on a machine that has `--gib` of it free, with guesses; then again, with what the run before has measured. What arms
have for themselves is looked at ten times a second. The machine is not smaller: `app.arm_runs.arms_of` is told so. The
last line printed is one JSON object.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import yaml
from growth import make_shop, run

ARMS = ("base", "kar_item", "kar_user", "kar_user-shuffled")
CORES = 4
EVERY_SECONDS = 0.1
ENDLESS = 2**50


def main() -> None:
    """Make the shop and its release, train three times."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--users", type=int, default=200_000)
    parser.add_argument("--gib", type=float, default=6.0)
    parser.add_argument("--train", type=Path)
    given = parser.parse_args()
    if given.train:
        print(json.dumps(train_three_times(given.train, given.gib)))
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        make_shop(folder, given.users)
        run("refresh", folder)
        file = folder / "knowflow.yaml"
        settings = yaml.safe_load(file.read_text()) | {
            "train": {"seeds": [0], "epochs": 1, "search": [], "rolling": []}
        }
        file.write_text(yaml.safe_dump(settings))
        command = [sys.executable, __file__, "--train", str(folder), "--gib", str(given.gib)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    print(json.dumps({"users": given.users} | json.loads(done.stdout.splitlines()[-1])))


def train_three_times(folder: Path, gib: float) -> dict[str, Any]:
    """Train by cores alone, then by memory with guesses, then with what was measured."""
    runs = {"cores": train(folder, lambda: ENDLESS)}
    for noted in folder.glob("*/train/*/at_once.json"):
        noted.unlink()  # a run that knows nothing
    for how in ("guessed", "measured"):
        runs[how] = train(folder, lambda: int(gib * 2**30) - private_of_children())
        print(how, runs[how], file=sys.stderr, flush=True)
    measured = runs["measured"]["peaks"]
    arms = {
        name: {"guessed_gib": gib_of(one["guessed"]), "gib": gib_of(one["measured"])} for name, one in measured.items()
    }
    shared = gib_of(runs["measured"]["shared"])
    kept = ("at_once", "peak_gib", "seconds")
    return {
        "gib": gib,
        "arms": {name: arms[name] for name in ARMS},
        "shared_gib": shared,
        "runs": {how: {name: one[name] for name in kept} for how, one in runs.items()},
    }


def train(folder: Path, free: Callable[[], int]) -> dict[str, Any]:
    """Train all arms, as many at once as the cores and this memory allow."""
    from app.arm_runs import arms_of, run_arm  # noqa: PLC0415 - the parent, which makes the shop, needs none of it
    from app.comparison import begin_run  # noqa: PLC0415
    from app.config import load_config  # noqa: PLC0415
    from base.progress import silent  # noqa: PLC0415

    config = load_config(folder / "knowflow.yaml")
    made = begin_run(config, ARMS, None)
    over, peak, begun = threading.Event(), [0], time.perf_counter()

    def watch() -> None:
        while not over.wait(EVERY_SECONDS):
            peak.append(max(peak[-1], private_of_children()))

    watching = threading.Thread(target=watch)
    watching.start()
    with arms_of(config, made.name, free), ThreadPoolExecutor(CORES) as threads:
        list(threads.map(lambda name: run_arm(config, made, name, silent), reversed(ARMS)))
    over.set()
    watching.join()
    noted = made.read("at_once")
    seconds = round(time.perf_counter() - begun, 1)
    return noted | {"at_once": noted["arms"], "peak_gib": gib_of(peak[-1]), "seconds": seconds}


def private_of_children() -> int:
    """Return the bytes that all children have for themselves."""
    from base.memory import private_memory  # noqa: PLC0415

    total = 0
    for child in psutil.Process().children():
        try:
            total += private_memory(child)
        except psutil.Error:  # it has just ended
            continue
    return total


def gib_of(size: int) -> float:
    """Turn bytes into GiB."""
    return round(size / 2**30, 2)


if __name__ == "__main__":
    main()
