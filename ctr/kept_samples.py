"""Samples as files: built once in a training run, and read by every arm's process without a copy of its own.

Arrays are mapped, so that all processes share the pages of one file; what a process writes to them stays its own.
"""

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from ctr.earlier import Earlier
from ctr.history import Histories
from ctr.samples import Samples

FACTS = "samples.json"
"""The columns that are no arrays."""
HISTORY, EARLIER = "history", ("order", "begin", "end")


def write_samples(folder: Path, samples: Samples) -> None:
    """Write samples to a folder.

    Args:
        folder: An empty folder.
        samples: The samples.
    """
    facts: dict[str, Any] = {}
    for name, value in _columns(samples).items():
        if isinstance(value, Histories):
            facts[HISTORY] = value.length
            for part in EARLIER:
                np.save(folder / f"{HISTORY}.{part}.npy", getattr(value.earlier, part))
        elif isinstance(value, np.ndarray):
            np.save(folder / f"{name}.npy", value)
        else:
            facts[name] = value
    (folder / FACTS).write_text(json.dumps(facts), encoding="utf-8")


def arrays_bytes(samples: Samples) -> int:
    """Return the bytes of all arrays of some samples."""
    arrays = [value for value in _columns(samples).values() if isinstance(value, np.ndarray)]
    if isinstance(samples.history, Histories):
        arrays += [getattr(samples.history.earlier, part) for part in EARLIER]
    return sum(array.nbytes for array in arrays)


def read_samples(folder: Path) -> Samples:
    """Read the samples of a folder; their arrays are mapped from its files."""
    facts = json.loads((folder / FACTS).read_text(encoding="utf-8"))
    given: dict[str, Any] = {name: read_array(file) for name in _names() if (file := folder / f"{name}.npy").is_file()}
    if (length := facts.pop(HISTORY, None)) is not None:
        given[HISTORY] = Histories(Earlier(*(read_array(folder / f"{HISTORY}.{part}.npy") for part in EARLIER)), length)
    return Samples(**given, **{name: _tuples(value) for name, value in facts.items()})


def read_array(file: Path) -> np.ndarray:
    """Map an array from its file."""
    return np.load(file, mmap_mode="c")  # writes change the memory of this process alone


def _names() -> list[str]:
    return [one.name for one in fields(Samples)]


def _columns(samples: Samples) -> dict[str, Any]:
    return {name: getattr(samples, name) for name in _names()}


def _tuples(value: Any) -> Any:
    """Turn the lists that JSON makes of tuples back."""
    return tuple(map(_tuples, value)) if isinstance(value, list) else value
