"""The shop of benchmarks/prompt_optimise.py: users who like one topic each, and an engine that ranks as it is told to."""

import runpy
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
BENCHMARK = runpy.run_path(str(ROOT / "benchmarks" / "prompt_optimise.py"))


def optimise_shop(folder: Path, seed: int = 3, **engine: Any) -> Path:
    """Write the shop to a folder; return its knowflow.yaml. Options of the engine may be given."""
    folder.mkdir(exist_ok=True)
    file = BENCHMARK["write_shop"](folder, seed)
    return configured(file, options=engine)


def configured(file: Path, **engine: Any) -> Path:
    """Change the engine in a knowflow.yaml."""
    settings = yaml.safe_load(file.read_text(encoding="utf-8"))
    settings["engine"] |= engine
    file.write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")
    return file
