"""CPU time of the commands that only look: `knowflow --help` and `knowflow status`.

Run:   .venv/bin/python benchmarks/keep.py looks
Reads: the store of examples/movielens (make demo).
The last line printed is one JSON object: user and system seconds of each command, the median of five runs; of a Python
that imports what the store needs, beside it, to tell what is ours.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CONFIG = ROOT / "examples" / "movielens" / "knowflow.yaml"
RUNS = 5


def main() -> None:
    """Measure, and print the results."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--config", type=Path, default=CONFIG)
    said = parser.parse_args()
    command = [sys.executable, "-m", "cli.main"]
    found = {
        "help_cpu_seconds": cpu_seconds([*command, "--help"]),
        "status_cpu_seconds": cpu_seconds([*command, "status", "--config", str(said.config)]),
        "libraries_cpu_seconds": cpu_seconds(
            [sys.executable, "-c", "import lance, pydantic, cyclopts, rich.table, yaml"]
        ),
    }
    print(json.dumps(found))


def cpu_seconds(command: Sequence[str]) -> float:
    """Run a command several times; return the median of its user and system time."""
    return statistics.median(_once(command) for _ in range(RUNS))


def _once(command: Sequence[str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    main()
