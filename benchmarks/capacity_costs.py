"""Take what `knowflow capacity` computes with from kept results into app/capacity.json; keep what it then prints.

Run:   .venv/bin/python benchmarks/keep.py capacity_costs      after every new result of growth.py

Reads: the results growth and openai_requests. The last line printed is one JSON object: the output of each command of
       docs/capacity.md, and what the smaller sizes foretell of 1,000,000 users.
"""

import io
import json
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
STAGES = ("load", "plan", "ask", "encode", "publish", "samples", "refresh_1%")
VECTOR = 64 * 2
"""Bytes of a vector of growth.py."""
PROMPT_TOKENS, ANSWER_TOKENS = 122, 9
"""Tokens of a prompt (490 characters, four a token) and of an answer of its engine."""
MILLION = 1_000_000
SHORT = ["--model", "8b-h100-short"]
PAID = ["--model", "paid-by-token", "--input-price", "0.4", "--output-price", "1.6"]
LINES = {
    "1m": ["--users", "1000000", "--gpu-hour", "3"],
    "10m": ["--users", "10000000", "--gpu-hour", "3"],
    "100m": ["--users", "100000000", "--items", "10000000", "--gpu-hour", "3"],
    "100m_short": ["--users", "100000000", "--items", "10000000", "--gpu-hour", "3", *SHORT],
    "1m_paid": ["--users", "1000000", *PAID],
}
"""Name -> options of the command, as docs/capacity.md shows it."""


def main() -> None:
    """Write the costs, run every command."""
    results = {name: read_result(name) for name in ("growth", "openai_requests")}
    text = json.dumps(costs(**results), indent=1) + "\n"
    (ROOT / "app" / "capacity.json").write_text(text, encoding="utf-8")
    outputs = {name: printed(options) for name, options in LINES.items()}
    print(json.dumps(outputs | {"foretold": foretold(results["growth"], MILLION)}))


def read_result(name: str) -> dict[str, Any]:
    """Read a kept result."""
    return json.loads((ROOT / "benchmarks" / "results" / f"{name}.json").read_text(encoding="utf-8"))


def costs(growth: dict[str, Any], openai_requests: dict[str, Any]) -> dict[str, Any]:
    """Take what capacity reads of the results."""
    sizes = {
        users: {
            name: {kind: float(found[name][kind]) for kind in ("cpu_seconds", "peak_gib")}
            for name in STAGES
            if name in found and "peak_gib" in found[name]
        }
        for users, found in growth["sizes"].items()
    }
    largest = max(
        (found for found in growth["sizes"].values() if "store" in found), key=lambda found: found["plan"]["rows"]
    )
    bytes_a_row = float(largest["store"]["alive_mb"]) * 1e6 / float(largest["plan"]["rows"]) - VECTOR
    return {
        "sizes": sizes,
        "bytes_a_row": round(bytes_a_row),
        "prompt_tokens": PROMPT_TOKENS,
        "answer_tokens": ANSWER_TOKENS,
        "disk_ratio": float(largest["store"]["ratio"]),
        "request_cpu_seconds": max(openai_requests["cpu_ms_per_request"]) / 1e3,
    }


def foretold(growth: dict[str, Any], users: int) -> dict[str, dict[str, float]]:
    """Compute the cost of each stage at a number of users from the results of fewer users alone."""
    from app.stage_costs import EVENTS_A_USER, USERS_AN_ITEM, stages_at  # noqa: PLC0415 - main makes it importable

    smaller = {size: found for size, found in growth["sizes"].items() if int(size) < users}
    sizes = costs({"sizes": smaller}, read_result("openai_requests"))["sizes"]
    stages = stages_at(users * (1 + 1 / USERS_AN_ITEM), users * EVENTS_A_USER, sizes)
    return {one.name: {"cpu_seconds": one.cpu_seconds, "peak_gib": one.peak_gib} for one in stages}


def printed(options: list[str]) -> dict[str, str]:
    """Run `knowflow capacity`; return the command and all it prints, as a pipe gets it."""
    from cli.main import main as run  # noqa: PLC0415 - only now is its table of costs there

    out = io.StringIO()
    with redirect_stdout(out), redirect_stderr(out):
        try:
            run(["capacity", *options])
        except SystemExit as left:
            if left.code:
                raise
    return {"command": " ".join(["knowflow capacity", *options]), "output": out.getvalue()}


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    main()
