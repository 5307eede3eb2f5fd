"""How much memory the process of an arm takes: by what it took in an earlier run, else by what it reads.

Counted is what a process has for itself. What all arms read is mapped from files that they share (`app/run_inputs.py`)
and counts once.

Formula:   guess = START + 2 inputs + N max(28 H, 8 sum_v d_v) + 12 sum_v m_v d_v   bytes, for N samples, histories of H
           events, and vectors v that the arm reads, m_v rows of length d_v; without vectors the first two terms.
           need = 1.1 guess peak / guess then, where a peak was measured.
"""

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.train_runs import TrainRun
from base.faults import WrongUse

AT_ONCE = "at_once"
"""Part of a training run: how many arms trained at once, and what each took."""
START = 420 * 2**20
"""Of a process with all its code, before it reads anything; as the other numbers, from `benchmarks/arm_memory.py`."""
COPIES = 2
"""Arrays as large as the inputs: the columns of trees, and those of the rows that they train on."""
EVENT, NUMBER, ROW = 28, 8, 12
"""Bytes of an event of a history, of a number that a sample reads, and of a number in the table of vectors."""
SPARE = 1.1
"""What is measured ten times a second is not quite the peak, and the same arm takes a little more another time."""
LOOK_BACK = 5
"""Earlier runs that are looked at for an arm."""
logger = logging.getLogger("app.arm_memory")


@dataclass(frozen=True)
class Peak:
    """What an arm's process took."""

    guessed: int
    """What was guessed, in bytes."""
    measured: int
    """The most that it had for itself, in bytes."""
    whole: bool = True
    """Whether it came to its end: what has failed might have taken more."""

    @property
    def ratio(self) -> float:
        """Return what was measured over what was guessed."""
        found = self.measured / self.guessed
        return found if self.whole else max(1.0, found)


def guess_bytes(inputs: int, samples: int, history: int, vectors: Sequence[tuple[int, int]]) -> int:
    """Guess what the process of an arm takes for itself.

    Args:
        inputs: Bytes of all that arms read of the data.
        samples: Number of samples.
        history: Events in a history.
        vectors: Rows and length of each set of vectors that it reads.

    Example:
        >>> guess_bytes(100, 10, 30, [(5, 64)]) - START  # 200 + 10 max(840, 512) + 12 * 5 * 64
        12440
    """
    known = samples * max(EVENT * history, NUMBER * sum(width for _, width in vectors)) if vectors else 0
    return START + COPIES * inputs + known + ROW * sum(rows * width for rows, width in vectors)


def need_bytes(name: str, guessed: int, earlier: Mapping[str, Peak], ended: Mapping[str, Peak]) -> int:
    """Return what an arm is going to take, with some to spare where it was measured.

    Args:
        name: The arm.
        guessed: What was guessed from its inputs.
        earlier: What arms took in earlier runs; of these the arm's own counts.
        ended: What the arms of this run took that have ended; without its own, the highest over its guess counts.
    """
    ratios = [earlier[name].ratio] if name in earlier else [one.ratio for one in ended.values()]
    return math.ceil(SPARE * guessed * max(ratios)) if ratios else guessed


def earlier_peaks(home: Path, run: TrainRun) -> dict[str, Peak]:
    """Return what arms took in the last runs of the same backbone, each in the newest that trained it."""
    found: dict[str, Peak] = {}
    before = [TrainRun(path.parent) for path in sorted(home.glob(f"train/train-*/{AT_ONCE}.json"))]
    for one in [one for one in before if one.name < run.name][: -LOOK_BACK - 1 : -1]:
        try:
            noted: Mapping[str, Mapping[str, Any]] = one.read(AT_ONCE)["peaks"]
            if _backbone(one) == _backbone(run):
                found = {name: Peak(**peak) for name, peak in noted.items()} | found
        except (WrongUse, OSError, ValueError, KeyError, TypeError, AttributeError):  # deleted meanwhile, or damaged
            logger.warning("%s: what its arms took cannot be read, and is guessed", one.name)
    return found


def _backbone(run: TrainRun) -> str:
    return run.read("run")["train"]["backbone"]
