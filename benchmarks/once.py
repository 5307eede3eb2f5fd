"""ONCE on MovieLens small, from scripted answers: its arm against its controls, under both splits.

Run:   .venv/bin/python benchmarks/keep.py once
There is no model here: rules in benchmarks/once_engine replace one, so the figures show that the techniques run and are
judged like any other, not the value of ONCE. Only a network is trained, with three seeds, because the profile is used
as vectors. It takes about fifteen CPU-minutes. The last line printed is one JSON object.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
EXAMPLE = ROOT / "examples" / "movielens"
SEEDS = (0, 1, 2)
ARMS = ("base", "once", "once-shuffled", "once-random")


def main() -> None:
    """Refresh and train in a separate home, and print the figures."""
    with tempfile.TemporaryDirectory() as folder:
        config = configure(Path(folder))
        run("refresh", "--config", str(config), "--json")
        done = run("train", "--config", str(config), "--arms", ",".join(ARMS), "--json")
    result = json.loads(done)
    found = {"split": shown(result), "rolling": shown(result["rolling"]), "seeds": len(SEEDS)}
    print(json.dumps(found))


def configure(folder: Path) -> Path:
    """Write a knowflow.yaml and a copy of the example's data."""
    shutil.copytree(EXAMPLE, folder / "movielens")
    file = folder / "movielens" / "knowflow.yaml"
    settings = yaml.safe_load(file.read_text(encoding="utf-8"))
    kept = ("kar_item", "item_facts")
    snapshots = {"snapshots": settings["tasks"]["kar_user"]["snapshots"]}
    files = {name: path for name, path in settings["engine"]["options"]["files"].items() if name.startswith("kar_item")}
    settings |= {
        "home": "../home",
        "plugins": [str(ROOT / "benchmarks" / "once_engine")],
        "engine": {**settings["engine"], "name": "scripted_once", "options": {"files": files}},
        "tasks": {name: settings["tasks"][name] for name in kept} | {"once_summary": {}, "once_profile": snapshots},
        "encoders": {"dense": settings["encoders"]["dense"]},
        "train": {**settings.get("train", {}), "backbone": "dcnv2", "seeds": list(SEEDS)},
    }
    file.write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")
    return file


def run(*arguments: str) -> str:
    """Run a command; exit with its exit code if it fails."""
    done = subprocess.run(
        [sys.executable, "-m", "cli.main", *arguments], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False
    )
    if done.returncode:
        sys.exit(done.returncode)
    return done.stdout


def shown(result: dict[str, Any]) -> dict[str, Any]:
    """Return the AUC of every arm, and the arm's gains over its controls with intervals, over all test rows."""
    return {
        "auc": {arm: of["all"]["auc"]["mean"] for arm, of in result["arms"].items()},
        "gains": {arm: of["all"]["auc"] for arm, of in result["gains"]["once"].items()},
    }


if __name__ == "__main__":
    main()
