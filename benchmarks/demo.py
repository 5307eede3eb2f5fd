"""The whole demo twice, in a copy of the tree: time, memory, the arms' figures, and that nothing is paid twice.

Run:   .venv/bin/python benchmarks/demo.py
Last line: one JSON object.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tree import Taken, run_tree

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    """Copy the tracked files, run the demo in the copy twice, print what it took and gave."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "knowflow"
        for name in subprocess.check_output(["git", "ls-files", "-z"], cwd=ROOT, text=True).split("\0"):
            if name and (ROOT / name).is_file():
                (copy / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, copy / name)
        first, second = demo(copy), demo(copy)
        result = json.loads((copy / "runs" / "demo" / "report.json").read_text())
    arms = {arm: segments["all"]["auc"]["mean"] for arm, segments in result["arms"].items()}
    gains = result["gains"]["knowledge"]
    print(json.dumps({
        "seconds": round(first.seconds, 1),
        "peak_gib": round(first.peak_bytes / 2**30, 3),
        "second_run_seconds": round(second.seconds, 1),
        "second_run_asked": json.loads(second.output)["asked"],
        "second_run_encoded": json.loads(second.output)["encoded"],
        "auc": {arm: round(value, 4) for arm, value in arms.items()},
        "knowledge_against_base": gains["base"]["all"]["auc"],
        "knowledge_against_facts": gains["facts"]["all"]["auc"],
        "cold_with_knowledge_against_base": gains["base"]["cold_with_knowledge"]["auc"],
        "cold_with_knowledge_against_facts": gains["facts"]["cold_with_knowledge"]["auc"],
    }))  # fmt: skip


def demo(folder: Path) -> Taken:
    """Run the demo of a tree; leaves with its exit code when it fails."""
    taken = run_tree([sys.executable, "-m", "cli.main", "demo", "--json"], folder)
    if taken.code:
        sys.exit(taken.code)
    return taken


if __name__ == "__main__":
    main()
