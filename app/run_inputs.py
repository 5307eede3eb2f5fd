"""What the arms of a training run read of the data: made once, mapped by the process of every arm.

It names users, so it is deleted when the arms have ended (`app/input_lock.py`).
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from app.input_lock import drop_inputs, lock_inputs
from app.train_runs import TrainRun
from base.faults import CheckFailed
from ctr.kept import ItemFields
from ctr.kept_samples import arrays_bytes, read_array, read_samples, write_samples
from ctr.samples import Samples


@dataclass(frozen=True)
class Inputs:
    """What all arms of a training run read of the data."""

    samples: Samples
    """The samples."""
    windows: Sequence[np.ndarray]
    """Their parts at each cut of rolling time."""
    fields: ItemFields
    """The items' fields behind their columns."""

    @property
    def bytes(self) -> int:
        """Return the bytes of all arrays, which arms map from files."""
        return arrays_bytes(self.samples) + sum(parts.nbytes for parts in self.windows)


def share_inputs(run: TrainRun, inputs: Inputs) -> None:
    """Write what the arms of a training run read, for `shared_inputs` in their processes.

    Args:
        run: The run; this process holds its lock until `app.input_lock.drop_inputs`.
        inputs: What they read.
    """
    lock_inputs(run)
    try:
        _write(run.shared, inputs)
    except BaseException:  # such as a full disk
        drop_inputs(run)
        raise


def _write(folder: Path, inputs: Inputs) -> None:
    folder.mkdir()
    write_samples(folder, inputs.samples)
    for place, parts in enumerate(inputs.windows):
        np.save(folder / f"window-{place}.npy", parts)
    facts = {"windows": len(inputs.windows), "fields": asdict(inputs.fields)}
    (folder / "inputs.json").write_text(json.dumps(facts), encoding="utf-8")


def shared_inputs(run: TrainRun) -> Inputs:
    """Read what the arms of a training run read; its arrays are mapped from files that all of them share.

    Raises:
        CheckFailed: The files are gone, as after `knowflow forget`.
    """
    folder = run.shared
    try:
        facts = json.loads((folder / "inputs.json").read_text(encoding="utf-8"))
        windows = [read_array(folder / f"window-{place}.npy") for place in range(facts["windows"])]
        fields = ItemFields(**{name: tuple(names) for name, names in facts["fields"].items()})
        return Inputs(read_samples(folder), windows, fields)
    except FileNotFoundError as error:
        raise CheckFailed(f"{run.name}: {error.filename} is gone\n  train again: knowflow train") from None
