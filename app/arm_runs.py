"""The processes of the arms, as the flow uses them: start, follow progress, and end with the flow."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from app.children import run_child
from app.config import Config
from app.train_runs import TrainRun, get_run
from base.faults import CheckFailed
from base.progress import Progress

_running: dict[Path, list[subprocess.Popen[str]]] = {}
"""Folder of a training run -> processes of its arms."""


@contextmanager
def arms_of(config: Config, name: str) -> Iterator[None]:
    """Limit the arms of a training run, and what they share, to this context.

    When the flow is interrupted, training arms are killed, and waiting arms never start.

    Args:
        config: The config.
        name: Name of the training run.
    """
    folder = get_run(config.home_folder, name).folder
    _running[folder] = []
    try:
        yield
    finally:
        for process in _running.pop(folder):
            process.kill()
        shutil.rmtree(TrainRun(folder).shared, ignore_errors=True)  # it names users


def run_arm(config: Config, run: TrainRun, name: str, progress: Progress) -> dict[str, Any]:
    """Train one arm in its own process and wait for it.

    Returns:
        What the process wrote: validation AUC by epoch and seed, parameters, speed, CPU seconds.

    Raises:
        CheckFailed: The process failed, or `arms_of` this run has ended; the text holds the last output.
        WrongUse: Its adapters cannot take its vectors.
    """
    living = _running.get(run.folder)
    if living is None:
        raise CheckFailed(f"arm {name}: not trained, {run.name} was stopped")

    def begun(process: subprocess.Popen[str]) -> None:
        living.append(process)
        if run.folder not in _running:  # the flow has just ended
            process.kill()

    arguments = [str(config.path), str(run.folder), name]
    run_child(f"arm {name}: training", "app.arm_process", arguments, run.folder / f"{name}.log", progress, begun)
    return run.read(name)
