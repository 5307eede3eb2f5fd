"""A lock on what the arms of a training run read: a kill frees it, so that the next command deletes what was left.

The inputs of a run name users, and are deleted when its arms have ended, unless the process of the run is killed.
"""

import shutil
from pathlib import Path

from filelock import FileLock, Timeout

from app.train_runs import SHARED, TrainRun

LOCK = "inputs.lock"
"""File in a run that its process holds locked while there are inputs."""
_held: dict[Path, FileLock] = {}
"""Folder of a training run of this process -> its lock."""


def lock_inputs(run: TrainRun) -> None:
    """Let `drop_left_inputs` of all processes leave the inputs of a run alone, until `drop_inputs`."""
    lock = FileLock(run.folder / LOCK, thread_local=False)  # another thread may end the run
    lock.acquire(timeout=10)  # another command may be looking whether the inputs of a killed run are left
    _held[run.folder] = lock


def drop_inputs(run: TrainRun) -> None:
    """Delete what the arms of a run have read, and free its lock."""
    shutil.rmtree(run.shared, ignore_errors=True)
    if (lock := _held.pop(run.folder, None)) is not None:
        (run.folder / LOCK).unlink(missing_ok=True)  # nothing is left that others could delete
        lock.release()


def drop_left_inputs(home: Path) -> list[str]:
    """Delete the inputs of runs whose process is gone; return the names of these runs.

    Runs of versions without a lock are left to `app.train_runs.drop_unfinished`.
    """
    dropped = []
    for folder in sorted(home.glob(f"train/*/{SHARED}")):
        run = TrainRun(folder.parent)
        if not (run.folder / LOCK).is_file():
            continue
        try:
            with FileLock(run.folder / LOCK, timeout=0):
                shutil.rmtree(folder, ignore_errors=True)
        except Timeout:  # its arms train
            continue
        dropped.append(run.name)
    return dropped
