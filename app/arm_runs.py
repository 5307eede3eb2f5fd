"""The processes of the arms, as the flow uses them: start, follow progress, and end with the flow."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from app.arm_memory import AT_ONCE, earlier_peaks
from app.arm_places import Places
from app.children import run_child
from app.config import Config
from app.input_lock import drop_inputs
from app.train_runs import TrainRun, get_run
from base.faults import CheckFailed
from base.memory import available_memory
from base.progress import Progress

_running: dict[Path, Places] = {}
"""Folder of a training run -> its arms that train."""


@contextmanager
def arms_of(config: Config, name: str, free: Callable[[], int] = available_memory) -> Iterator[None]:
    """Limit the arms of a training run, and what they share, to this context.

    Inside, as many arms train at once as there is memory for, and the run notes how many that were. When the flow is
    interrupted, training arms are killed, and waiting arms never start.

    Args:
        config: The config.
        name: Name of the training run.
        free: Returns how many bytes of memory can be taken now.
    """
    run = get_run(config.home_folder, name)
    shared = sum(file.stat().st_size for file in run.shared.iterdir())
    earlier = earlier_peaks(config.home_folder, run)
    places = _running[run.folder] = Places(name, run.read("run")["guessed_bytes"], earlier, shared, free)
    try:
        yield
    finally:
        del _running[run.folder]
        places.end()
        drop_inputs(run)
        run.write(AT_ONCE, places.facts())


def run_arm(config: Config, run: TrainRun, name: str, progress: Progress) -> dict[str, Any]:
    """Train one arm in its own process, when there is memory for it, and wait for it.

    Returns:
        What the process wrote: validation AUC by epoch and seed, parameters, speed, CPU seconds.

    Raises:
        CheckFailed: The process failed, or `arms_of` this run has ended; the text holds the last output.
        WrongUse: Its adapters cannot take its vectors.
    """
    places = _running.get(run.folder)
    if places is None:
        raise CheckFailed(f"arm {name}: not trained, {run.name} was stopped")
    arguments = [str(config.path), str(run.folder), name]
    log = run.folder / f"{name}.log"
    with places.place(name) as begun:
        run_child(f"arm {name}: training", "app.arm_process", arguments, log, progress, begun)
    return run.read(name)
