"""The processes of the arms as the flow sees them: started, listened to, and ended with the flow."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ctr.faults import ArmFailed
from flows.config import Config
from flows.train_runs import TrainRun, get_run
from sources.progress import Progress

LAST_LINES = 5
"""Of what a failed arm said, these are shown."""
_running: dict[Path, list[subprocess.Popen[str]]] = {}
"""Folder of a training run -> processes of its arms."""


@contextmanager
def arms_of(config: Config, name: str) -> Iterator[None]:
    """Let the arms of a training run live inside this context alone.

    When the flow is interrupted meanwhile, those that train are ended, and those that wait never begin.

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


def run_arm(config: Config, run: TrainRun, name: str, progress: Progress) -> dict[str, Any]:
    """Train one arm in a process of its own and wait for it.

    Returns:
        What the process wrote: validation AUC by epoch and seed, parameters, speed, CPU seconds.

    Raises:
        ArmFailed: The process failed, or `arms_of` this run has ended; the text holds what was said last.
    """
    living = _running.get(run.folder)
    if living is None:
        raise ArmFailed(f"arm {name}: not trained, {run.name} was stopped")
    log = run.folder / f"{name}.log"
    command = [sys.executable, "-m", "flows.arm_process", str(config.path), str(run.folder), name]
    root = Path(__file__).resolve().parents[1]
    with (
        log.open("w") as said,
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said, text=True, cwd=root
        ) as process,
    ):
        assert process.stdout is not None  # a pipe was asked for
        try:
            living.append(process)
            if run.folder not in _running:  # the flow ended in this very moment
                process.kill()
            for line in process.stdout:
                progress(*json.loads(line))
        except BaseException:
            process.kill()
            raise
        code = process.wait()
    if code:
        raise ArmFailed(_failure(name, code, log))
    log.unlink()
    return run.read(name)


def _failure(name: str, code: int, log: Path) -> str:
    why = f"stopped with exit code {code}"
    if code < 0:
        why = f"was ended by {signal.Signals(-code).name}"
        if -code == signal.SIGKILL:
            why += ", as the system does when memory runs out"
    last = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-LAST_LINES:]
    return "\n".join([f"arm {name}: training {why}", *(f"  {line}" for line in last), f"  all it said: {log}"])
