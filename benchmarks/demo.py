"""Run the whole demo twice in a copy of the tree: output, time, memory, the arms' figures, nothing paid twice.

Run:   .venv/bin/python benchmarks/demo.py [--save]
Last line: one JSON object. With --save it is kept in benchmarks/results/demo.json, including the whole evaluation and
the demo's output: `make figures` writes README and docs from it.
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from keep import keep
from tree import Taken, run_tree

ROOT = Path(__file__).resolve().parents[1]
COUNTS = re.compile(r"\(([\d,]+) asked, ([\d,]+) encoded in this run\)")


def main() -> None:
    """Copy the tracked files, run the demo in the copy twice, print costs and results."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--save", action="store_true", help="keep it for `make figures`")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "knowflow"
        for name in subprocess.check_output(["git", "ls-files", "-z"], cwd=ROOT, text=True).split("\0"):
            if name and (ROOT / name).is_file():
                (copy / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, copy / name)
        first, second = demo(copy), demo(copy, "--json")
        result = json.loads((copy / "runs" / "demo" / "report.json").read_text())
        printed = first.output.strip().replace(f"{copy.resolve()}/", "")
    found = figures(first, second) | {"result": result, "output": printed}
    if given.save:
        keep("demo", found)
    print(json.dumps(found))


def demo(folder: Path, *options: str) -> Taken:
    """Run the demo of a tree; exit with its exit code if it fails."""
    taken = run_tree([sys.executable, "-m", "cli.main", "demo", *options], folder)
    if taken.code:
        sys.exit(taken.code)
    return taken


def figures(first: Taken, second: Taken) -> dict[str, Any]:
    """Return the costs of both runs, and the rows each asked and encoded; the second one prints JSON."""
    counted, again = COUNTS.search(first.output), json.loads(second.output)
    assert counted, "the demo no longer says what it asked"
    asked, encoded = (int(number.replace(",", "")) for number in counted.groups())
    return {
        "seconds": round(first.seconds, 1),
        "peak_gib": round(first.peak_bytes / 2**30, 3),
        "asked": asked,
        "encoded": encoded,
        "second_run_seconds": round(second.seconds, 1),
        "second_run_asked": again["asked"],
        "second_run_encoded": again["encoded"],
    }


if __name__ == "__main__":
    main()
