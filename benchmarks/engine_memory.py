"""Peak memory of generation: 10,000 requests against 100,000, each answered by one token of the tiny model.

Run:   .venv/bin/python benchmarks/engine_memory.py [--rows 10000 100000]
Each run is a separate process that plans, asks, parses and commits all rows; its peak resident memory (including the
model and vLLM) is compared. `start` is the memory before the plan, with the model loaded and 32 other rows answered.
The last line printed is one JSON object.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
WARM = 32


def main() -> None:
    """Measure both numbers of rows, and print the results."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, nargs=2, default=[10_000, 100_000])
    parser.add_argument("--shop", type=Path, help="measure this shop in this process")
    chosen = parser.parse_args()
    if chosen.shop:
        measure(chosen.shop)
        return
    from tiny_model import make_model  # noqa: PLC0415 - only the runs need vLLM, only this the model
    from tiny_shop import make_shop  # noqa: PLC0415

    found = []
    with tempfile.TemporaryDirectory() as folder:
        model = make_model(Path(folder) / "model")
        for rows in chosen.rows:
            shop = Path(folder) / str(rows)
            make_shop(shop / "measured", rows, model)
            make_shop(shop / "warm", WARM, model, first=rows)
            found.append(run(shop))
            start, peak = found[-1]["start_mib"], found[-1]["peak_mib"]
            print(f"{rows:>9,} rows  {peak:8.1f} MiB at most, {start:.1f} at the start", flush=True)
    few, many = found
    print(json.dumps({
        "rows": chosen.rows,
        "peak_mib": [few["peak_mib"], many["peak_mib"]],
        "start_mib": [few["start_mib"], many["start_mib"]],
        "ratio": round(many["peak_mib"] / few["peak_mib"], 4),
        "bytes_a_row": round((many["peak_mib"] - few["peak_mib"]) * 2**20 / (chosen.rows[1] - chosen.rows[0])),
    }))  # fmt: skip


def run(shop: Path) -> dict:
    """Measure one shop in a fresh process."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, __file__, "--shop", str(shop)]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT)
    return json.loads(done.stdout.splitlines()[-1])


def measure(shop: Path) -> None:
    """Warm up, then answer all rows of a shop; print memory in MiB."""
    from tiny_shop import answers_of, refresh_answers  # noqa: PLC0415

    with answers_of(1):
        refresh_answers(shop / "warm" / "knowflow.yaml")
        start = highest()
        done = refresh_answers(shop / "measured" / "knowflow.yaml")
    assert done.calls == done.answered == done.rows, done
    print(json.dumps({"start_mib": start, "peak_mib": highest()}))


def highest() -> float:
    """Return the peak resident memory of this process so far, in MiB."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)


if __name__ == "__main__":
    main()
