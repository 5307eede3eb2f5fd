"""The headline gain: knowledge over its facts control under both protocols, and the checks behind the figure.

Run:   .venv/bin/python benchmarks/honesty.py [--config FILE] [--train-run NAME | --kept] [--save]
Reads: the newest training run of examples/movielens (make demo), or trains one if there is none; with --kept the
evaluation that benchmarks/demo.py --save kept.

Also measured: how often noise is called a gain (200 simulated runs per case, one CPU-minute), and how many kinds of
planted leaks the leak check finds. The last line printed is one JSON object.
"""

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aa_test import measure
from keep import RESULTS, keep
from leak_kinds import leak_kinds_found

from app.config import load_config
from app.train_runs import get_run, list_runs
from flows.train import train

CONFIG = Path(__file__).resolve().parents[1] / "examples" / "movielens" / "knowflow.yaml"


def main() -> None:
    """Collect the figures and print them."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--config", default=str(CONFIG))
    parser.add_argument("--train-run", help="the newest finished one when left out")
    parser.add_argument("--save", action="store_true", help="keep it for `make figures`")
    parser.add_argument("--kept", action="store_true", help="of benchmarks/results/demo.json")
    given = parser.parse_args()
    result = kept() if given.kept else run_of(given.config, given.train_run)
    if not result.get("rolling") or "facts" not in result["gains"].get("knowledge", {}):
        sys.exit("the run has no rolling time, or not the arms base, facts and knowledge\n  train them: knowflow train")
    found, kinds = leak_kinds_found()
    figures = {
        "position": gains(result),
        "rolling": gains(result["rolling"]),
        "base_auc": auc(result, "base"),
        "knowledge_auc": auc(result, "knowledge"),
        "rolling_base_auc": auc(result["rolling"], "base"),
        "rolling_knowledge_auc": auc(result["rolling"], "knowledge"),
        "looks": result["looks"],
        "aa_false_share": measure()["aa_false_share"],
        "leak_kinds_found": found,
        "leak_kinds": kinds,
    }
    if given.save:
        keep("honesty", figures)
    print(json.dumps(figures))


def kept() -> dict[str, Any]:
    """Return the last kept evaluation of the demo."""
    return json.loads((RESULTS / "demo.json").read_text(encoding="utf-8"))["result"]


def run_of(config: str, name: str | None) -> dict[str, Any]:
    """Return the result of a training run; by default the newest one, or a new one."""
    home = load_config(config).home_folder
    return get_run(home, name or (None if list_runs(home) else train(config=config))).read("result")


def gains(result: Mapping[str, Any]) -> dict[str, Any]:
    """Return AUC gains of knowledge over facts and base on all rows, and over facts on cold rows with knowledge."""
    return {
        "knowledge_facts": _gain(result, "facts", "all"),
        "knowledge_base": _gain(result, "base", "all"),
        "cold": _gain(result, "facts", "cold_with_knowledge"),
    }


def auc(result: Mapping[str, Any], arm: str) -> float:
    """Return the mean AUC of an arm on all test rows."""
    return result["arms"][arm]["all"]["auc"]["mean"]


def _gain(result: Mapping[str, Any], control: str, segment: str) -> dict[str, Any]:
    counted = result["segments"][segment]
    gain = result["gains"]["knowledge"][control][segment]["auc"]
    return {**gain, "users": counted["users"], "rows": counted["rows"]}


if __name__ == "__main__":
    main()
