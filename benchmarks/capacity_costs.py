"""Write the costs that `knowflow capacity` computes with, from the kept result of growth.py, into app/capacity.json.

Run:  .venv/bin/python benchmarks/capacity_costs.py
"""

import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
STAGES = ("load", "plan", "ask", "encode", "publish", "samples", "refresh_1%")
VECTOR = 64 * 2
"""Bytes of a vector of growth.py."""
ANSWER_TOKENS = 9
"""Tokens of an answer of its engine, as that says."""


def costs(growth: dict[str, Any]) -> dict[str, Any]:
    """Take what capacity reads of a result of growth.py."""
    sizes = {
        users: {
            name: {kind: float(found[name][kind]) for kind in ("cpu_seconds", "peak_gib")}
            for name in STAGES
            if name in found and "peak_gib" in found[name]
        }
        for users, found in growth["sizes"].items()
    }
    largest = max(growth["sizes"].values(), key=lambda found: found["plan"]["rows"])
    bytes_a_row = float(largest["store"]["alive_mb"]) * 1e6 / float(largest["plan"]["rows"]) - VECTOR
    return {"sizes": sizes, "bytes_a_row": round(bytes_a_row), "answer_tokens": ANSWER_TOKENS}


if __name__ == "__main__":
    made = costs(json.loads((ROOT / "benchmarks" / "results" / "growth.json").read_text(encoding="utf-8")))
    (ROOT / "app" / "capacity.json").write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")
