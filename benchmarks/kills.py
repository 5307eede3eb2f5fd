"""Twenty kills over ten nights: is the store afterwards what it would have been without them?

Run:   .venv/bin/python benchmarks/keep.py kills
Two stores get the same nights of new items and events. In one, each night's process (ask, encode, publish, drop old
releases) is killed twice, with SIGKILL, at random moments, and then run to its end; in the other it is left alone.
After each night the tables of both are compared: every column but the clocks, vectors bit by bit, names of releases.
`equal` counts the kills after which they were. The last line printed is one JSON object.
"""

import json
import random
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import lance
from disk import night, write_config, write_data

from app.config import load_config
from app.workplace import open_store
from feature_store.releases import list_releases
from feature_store.retention import KeepConfig, collect

NIGHTS, KILLS_A_NIGHT = 10, 2
USERS, ITEMS = 100, 2_000
CLOCKS = {"created_at", "seconds", "state"}
"""Columns that differ between two runs that do the same; the state of an encoder is compared by its vectors."""
COMPARED = ("answers", "lineage", "documents", "encoder_states")


def main() -> None:
    """Simulate the nights, print how each ended."""
    chance, equal = random.Random(0), 0
    with tempfile.TemporaryDirectory() as name:
        calm, wild = Path(name) / "calm", Path(name) / "wild"
        for folder in (calm, wild):
            folder.mkdir()
            write_config(folder)
        for number in range(NIGHTS):
            for folder in (calm, wild):
                write_data(folder, number, USERS, ITEMS)
            seconds = run(calm)
            for _ in range(KILLS_A_NIGHT):
                kill(wild, seconds, chance)
            run(wild)
            differing = differences(calm, wild)
            equal += 0 if differing else KILLS_A_NIGHT
            print(f"night {number}: {'differs: ' + ', '.join(differing) if differing else 'equal'}", flush=True)
    print(json.dumps({"nights": NIGHTS, "kills": NIGHTS * KILLS_A_NIGHT, "equal": equal}))


def start(folder: Path) -> subprocess.Popen[str]:
    """Start a night, and wait until its imports are done."""
    command = [sys.executable, __file__, str(folder / "knowflow.yaml")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    return process


def run(folder: Path) -> float:
    """Run a night to its end; return its seconds."""
    process = start(folder)
    begun = time.monotonic()
    assert process.wait() == 0
    return time.monotonic() - begun


def kill(folder: Path, seconds: float, chance: random.Random) -> None:
    """Kill a night at a random moment of so many seconds; one that ended sooner is run again, with less time."""
    while True:
        process = start(folder)
        try:
            process.wait(timeout=chance.uniform(0, seconds))
        except subprocess.TimeoutExpired:
            process.kill()
        if process.wait() != 0:
            return
        seconds /= 2


def differences(one: Path, other: Path) -> list[str]:
    """Return the names of the tables that differ between the stores of two folders."""
    first, second = (open_store(load_config(folder / "knowflow.yaml")) for folder in (one, other))
    tables = [name for name in first.tables() if name in COMPARED or name.startswith("vectors_")]
    found = [name for name in tables if rows(first.path(name)) != rows(second.path(name))]
    names = [[release.name for release in list_releases(store)] for store in (first, second)]
    return found + ["tables"] * (first.tables() != second.tables()) + ["releases"] * (names[0] != names[1])


def rows(table: Path) -> list[dict[str, Any]]:
    """Return all rows of a table by key, without the columns that differ between any two runs."""
    found = lance.dataset(str(table)).to_table()
    kept = found.select([name for name in found.column_names if name not in CLOCKS])
    return sorted(kept.to_pylist(), key=lambda row: str(row[kept.column_names[0]]))


def one_night(path: Path) -> None:
    """Do what a night does, in this process."""
    print("begun", flush=True)
    night(path)
    store = open_store(load_config(path))
    with store.writer("the benchmark") as writer:
        collect(writer, KeepConfig(releases=4, days=0), datetime.now(UTC), untagged=timedelta(0))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        one_night(Path(sys.argv[1]))
    else:
        main()
