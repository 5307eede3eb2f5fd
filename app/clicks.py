"""The gate over clicks: the newest training run against the run of the last release, on the same test rows.

A release is published before anything is trained on it, so this gate cannot keep it from being published. If it blocks,
the run fails (exit code 1), and its message names the command that makes the last release current again.
"""

from collections.abc import Sequence
from dataclasses import asdict

import numpy as np
import polars as pl

from app.config import Config
from app.train_runs import TrainRun, list_runs
from base.progress import Progress
from evals.conclusion import subject_of
from evals.regression import Fall, Judged, compare_runs
from evals.words import CONTROLS, signed
from feature_store.gate import ClicksFell, Gate


def judge_clicks(config: Config, run: TrainRun, progress: Progress) -> Gate | None:
    """Compare a finished run with the newest one of another release, and note the gate in the run's result.

    Args:
        config: Thresholds.
        run: The finished run.
        progress: Called with the number of resampled predictions.

    Returns:
        The gate; None if there is no arm to judge, or no run of another release with the same arm and settings.
    """
    result = run.read("result")
    arm = subject_of(list(result["arms"]), tuple(CONTROLS))
    before = _last_of_another_release(list_runs(config.home_folder), run, arm) if arm is not None else None
    if arm is None or before is None:
        return None
    fall = compare_runs(judged(run, arm), judged(before, arm), progress)
    gate = _gate(arm, fall, before.read("run")["release"], config)
    run.write("result", {**result, "gates": [vars(gate)], "clicks": {"before": before.name, **asdict(fall)}})
    return gate


def check_clicks(run: TrainRun) -> None:
    """Fail if the gate over clicks is closed.

    Raises:
        ClicksFell: It is.
    """
    result = run.read("result")
    gates = [Gate(**{**gate, "errors": tuple(gate["errors"])}) for gate in result.get("gates", ())]
    if any(gate.closed for gate in gates):
        before = TrainRun(run.folder.parent / result["clicks"]["before"]).read("run")["release"]
        raise ClicksFell(gates, before)


def _last_of_another_release(runs: Sequence[TrainRun], run: TrainRun, arm: str) -> TrainRun | None:
    noted = run.read("run")
    for one in reversed(runs):
        other = one.read("run")
        same = all(other.get(name) == noted.get(name) for name in ("train", "source", "plugins"))
        same = same and other["uses"].get(arm) == noted["uses"][arm]
        if one.name < run.name and other["release"] != noted["release"] and same and _has_keys(one):
            return one
    return None


def _has_keys(run: TrainRun) -> bool:
    """Return whether the rows of a run have keys; runs of older versions have none."""
    return "key" in pl.read_parquet_schema(run.folder / "rows.parquet")


def judged(run: TrainRun, arm: str) -> Judged:
    """Read the test rows of a run, and what an arm predicted for them."""
    with np.load(run.folder / f"{arm}.npz") as scored:
        return Judged(pl.read_parquet(run.folder / "rows.parquet", columns=["key", "label", "user"]), scored["test"])


def _gate(arm: str, fall: Fall, release: str, config: Config) -> Gate:
    """Return the gate: it holds unless the whole interval lies below the fall that is allowed."""
    most = config.gates.clicks
    of = f"AUC of {arm} against {release} on {fall.rows:,} rows of {fall.users:,} users that both runs test"
    if fall.mean is None or fall.low is None or fall.high is None:
        return Gate(f"{arm} clicks", True, f"{of}: no interval, {fall.why}", setting="clicks")
    found = f"{of}: {signed(fall.mean, 4)} [{signed(fall.low, 4)}, {signed(fall.high, 4)}], a fall of at most {most:g}"
    return Gate(f"{arm} clicks", fall.high >= -most, found, (), "clicks", "clicks" not in config.gates.warn)
