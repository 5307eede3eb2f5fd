"""KnowFlow against FuxiCTR, RecBole and LightGBM: the same rows, fields and sizes, on this machine, on one thread.

Run:   python benchmarks/ctr_peers.py [--config FILE] [--cache FOLDER] [--runs 5] [--seeds 3] [--only-speed]
       python benchmarks/ctr_peers.py --sides ours fuxictr
Reads: the events of examples/movielens; no release. About 30 CPU-minutes.

Each peer is installed into an environment of its own in the cache folder (`~/.cache/knowflow-peers`), never into the
project's. All sides get the same rows: user, item, genres, the last 30 events, and the strictly earlier statistics that
KnowFlow counts; width 32, batch 1,024, perceptron 128 and 64. Every side tries four learning rates on the validation
rows, all networks the same four, and stops early by validation AUC; what else a library sets by itself (schedule,
decay, dropout, initial values) stays its own. Speed is that of one epoch of training alone; the sides run in turns, and
a ratio is the median over the turns, so that other work on the machine meets all of them. CPU-seconds of a training are
the median of a side's trainings, with what it reads and evaluates each time.
The last line printed is one JSON object.
"""

import argparse
import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import tokenize
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from app.config import load_config
from app.samples import open_samples
from ctr.samples import Samples
from evals.evaluate import Scores, evaluate
from sources.events import PARTS

ROOT = Path(__file__).resolve().parents[1]
CONFIG = ROOT / "examples" / "movielens" / "knowflow.yaml"
SIDES = ROOT / "benchmarks" / "peers"
TORCH = f"torch=={version('torch').split('+')[0]}"
PACKAGES = {
    "fuxictr": ("fuxictr==2.3.10", TORCH, "setuptools<80"),
    "recbole": ("recbole==1.2.1", TORCH, "numpy<2", "pandas<2.3", "setuptools<80"),
    "lightgbm": ("lightgbm", "scikit-learn"),
}
"""What is installed for each peer, with the torch of this project; RecBole 1.2.1 does not run with NumPy 2."""
Run = tuple[str, str, str]
RUNS: tuple[Run, ...] = (
    ("ours dcnv2", "ours", "dcnv2"),
    ("ours din", "ours", "din"),
    ("ours blend, the default", "ours", "blend"),
    ("fuxictr dcnv2", "fuxictr", "dcnv2"),
    ("fuxictr dcnv2, three histories", "fuxictr", "dcnv2_pooled"),
    ("fuxictr din", "fuxictr", "din"),
    ("recbole dcnv2", "recbole", "dcnv2"),
    ("recbole dcnv2, three histories", "recbole", "dcnv2_pooled"),
    ("lightgbm", "lightgbm", "gbdt"),
    ("lightgbm, ids as categories", "lightgbm", "gbdt_ids"),
)
"""Name of the result, side, model."""
RATIOS = {
    "dcnv2_ratio": ("ours dcnv2", "fuxictr dcnv2, three histories"),
    "dcnv2_ratio_one_history": ("ours dcnv2", "fuxictr dcnv2"),
    "din_ratio": ("ours din", "fuxictr din"),
    "recbole_ratio": ("ours dcnv2", "recbole dcnv2, three histories"),
    "recbole_ratio_one_history": ("ours dcnv2", "recbole dcnv2"),
}
"""Ours over theirs. KnowFlow's DCNv2 pools the history in three ways; the others read three histories to have the same
fields, or one, two fields less, as their users would write them. Their DIN reads one history, ours the three too."""


def main() -> None:
    """Measure speed in turns, then quality, and print the results."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--config", type=Path, default=CONFIG)
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "knowflow-peers")
    parser.add_argument("--runs", type=int, default=5, help="turns of the measurement of speed")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only-speed", action="store_true")
    sides = sorted({side for _, side, _ in RUNS})
    parser.add_argument("--sides", nargs="+", choices=sides, default=sides, help="leave out the others")
    given = parser.parse_args()
    runs = [run for run in RUNS if run[1] in given.sides]
    samples = open_samples(load_config(given.config))
    pythons = {name: environment(given.cache, name) for name in PACKAGES if name in given.sides} | {
        "ours": Path(sys.executable)
    }
    os.environ["KNOWFLOW_PEERS_CONFIG"] = str(given.config.resolve())
    with tempfile.TemporaryDirectory() as folder:
        rows = Path(folder) / "rows.npz"
        write_rows(samples, rows)
        found: dict[str, Any] = {"rows": len(samples.label)} | speeds(rows, pythons, runs, given.runs)
        if not given.only_speed:
            found |= qualities(samples, rows, pythons, runs, given.seeds)
    found["lines"] = {side: code_lines(SIDES / f"{side}_side.py") for side in given.sides}
    print(json.dumps(found))


def environment(cache: Path, name: str) -> Path:
    """Make a peer's environment unless it is there; return its Python."""
    folder = cache / name
    python = folder / "bin" / "python"
    if not (folder / "complete").exists():
        print(f"installing {', '.join(PACKAGES[name])} into {folder}", flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "-q", *PACKAGES[name]], check=True)
        (folder / "complete").touch()
    return python


def write_rows(samples: Samples, file: Path) -> None:
    """Write the fields that all sides read; codes of items and genres begin at 1, 0 is none."""
    assert isinstance(samples.history, np.ndarray)  # of a small log
    past, event = samples.history >= 0, np.maximum(samples.history, 0)
    history = np.where(past, samples.item[event] + 1, 0)
    rating = np.where(past, samples.rating[event], 0)
    liked = past & (rating > rating.sum(axis=1, keepdims=True) / np.maximum(past.sum(axis=1, keepdims=True), 1))
    number = (samples.item_categories > 0).sum(axis=1)
    genres = np.zeros((len(samples.item_ids), max(int(number.max(initial=0)), 1)), dtype=np.int64)
    item, genre = np.nonzero(samples.item_categories)
    genres[item, np.arange(len(item)) - np.repeat(np.cumsum(number) - number, number)] = genre + 1
    np.savez(
        file,
        user=samples.user,
        item=samples.item + 1,
        genres=genres[samples.item],
        dense=np.concatenate([samples.statistics, samples.item_numbers[samples.item]], axis=1),
        history=history,
        liked=np.where(liked, history, 0),
        others=np.where(liked, 0, history),
        label=samples.label,
        part=samples.part,
        users=len(samples.user_ids),
        items=len(samples.item_ids),
    )


def launch(python: Path, side: str, model: str, rows: Path, *options: str) -> tuple[dict[str, Any], np.ndarray | None]:
    """Run one side's script; return what it found, and its probabilities of the test rows."""
    with tempfile.TemporaryDirectory() as out:
        command = [str(python), str(SIDES / f"{side}_side.py"), str(rows), out, model, *options]
        path = {"PYTHONPATH": str(ROOT)} if side == "ours" else {}
        threads = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        subprocess.run(command, env={**os.environ, **threads, **path}, check=True, stdout=subprocess.DEVNULL)
        scores = Path(out) / "test.npy"
        found = json.loads((Path(out) / "found.json").read_text())
        return found, np.load(scores) if scores.exists() else None


def speeds(rows: Path, pythons: dict[str, Path], runs: Sequence[Run], turns: int) -> dict[str, Any]:
    """Measure all sides in turns."""
    found: dict[str, list[float]] = {name: [] for name, _, _ in runs}
    for turn in range(turns):
        for name, side, model in runs:
            speed = launch(pythons[side], side, model, rows, "--speed")[0]["samples_per_cpu_second"]
            found[name].append(speed)
            print(f"turn {turn + 1}  {name:32s} {speed:>9,.0f} samples a CPU-second", flush=True)
    ratios = {
        key: statistics.median(own / other for own, other in zip(found[ours], found[theirs], strict=True))
        for key, (ours, theirs) in RATIOS.items()
        if ours in found and theirs in found
    }
    middle = {name: round(statistics.median(of)) for name, of in found.items()}
    by_turn = {name: [round(speed) for speed in of] for name, of in found.items()}
    return ratios | {"samples_per_cpu_second": middle, "turns": by_turn}


def qualities(
    samples: Samples, rows: Path, pythons: dict[str, Path], runs: Sequence[Run], seeds: int
) -> dict[str, Any]:
    """Train every side; compare ours with each of the others on the same test rows."""
    test = samples.part == PARTS.index("test")
    found, scores = {}, {}
    for name, side, model in runs:
        found[name], probabilities = launch(pythons[side], side, model, rows, "--seeds", str(seeds))
        assert probabilities is not None  # written unless only speed is asked
        scores[name] = probabilities.clip(0, 1)
        print(f"{name:32s} {found[name]}", flush=True)
    everything = {"all": np.ones(int(test.sum()), dtype=bool)}
    arms = Scores(samples.label[test], samples.user[test], everything, scores)
    result = evaluate(arms, controls=[name for name, _, _ in runs])
    gains = {
        f"{ours} - {theirs}": result["gains"][ours][theirs]["all"]["auc"]
        for ours in scores
        for theirs in scores
        if ours.startswith("ours") and not theirs.startswith("ours")
    }
    return {
        "auc": {name: result["arms"][name]["all"]["auc"]["mean"] for name in scores},
        "logloss": {name: result["arms"][name]["all"]["logloss"]["mean"] for name in scores},
        "auc_gains": gains,
        "peak_mib": {name: found[name]["peak_mib"] for name in scores},
        "training_cpu_seconds": {name: found[name]["training_cpu_seconds"] for name in scores},
        "learning_rate": {name: found[name]["learning_rate"] for name in scores},
        "tried": {name: found[name]["tried"] for name in scores},
    }


def code_lines(file: Path) -> int:
    """Count lines of code: without blank lines, comments and docstrings."""
    skipped = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER)
    lines: set[int] = set()
    alone = True  # at the start of a statement, where a string is a docstring
    for token in tokenize.generate_tokens(io.StringIO(file.read_text(encoding="utf-8")).readline):
        if token.type in skipped:
            alone = alone if token.type in (tokenize.COMMENT, tokenize.NL) else True
        elif not (token.type == tokenize.STRING and alone):
            lines.update(range(token.start[0], token.end[0] + 1))
            alone = False
    return len(lines)


if __name__ == "__main__":
    main()
