"""CPU time of planning the whole MovieLens example under a real model's tokenizer and chat template.

Run:   .venv/bin/python benchmarks/plan_small_model.py models/SmolLM2-135M-Instruct

`knowflow plan` runs as a process on a copy of the example, with an empty store; nothing is asked. It counts every
prompt in tokens of the model's own tokenizer. The last line is JSON: `cpu_seconds`, `rows`, `calls`, `tokens`.
"""

import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
EXAMPLE = ROOT / "examples" / "movielens"


def main(model: str) -> None:
    """Plan, and print what it took."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "movielens"
        shutil.copytree(EXAMPLE, copy, ignore=shutil.ignore_patterns("runs"))
        words = ["plan", "--config", str(copy / "knowflow.yaml"), "--engine", "vllm", "--model", model, "--json"]
        done = subprocess.run(
            [sys.executable, "-m", "cli.main", *words],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    tasks = json.loads(done.stdout)["tasks"]
    print(
        json.dumps(
            {
                "model": Path(model).name,
                "cpu_seconds": round(used.ru_utime + used.ru_stime, 2),
                "rows": sum(task["rows"] for task in tasks),
                "calls": sum(task["calls"] for task in tasks),
                "tokens": sum(task["input_tokens"] for task in tasks),
            }
        )
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
