"""The folder of a tuning: its checkpoints while it runs, and its plan, so that it resumes only as it was started."""

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from base.faults import WrongUse

RESULT = "knowflow_tuning.json"
"""Records what the model was tuned on; written last, so that a folder that has it is finished."""
WORK = ".tuning"
"""Hidden, so that it is not part of an adapter's fingerprint; deleted at the end."""
PLAN, STATE = "plan.json", "trainer_state.json"


class WorkFolder:
    """The output folder of a tuning.

    Args:
        out: Folder of the tuned model.
    """

    def __init__(self, out: Path) -> None:
        self.out = out.resolve()
        self.work = self.out / WORK

    def begin(self, plan: Mapping[str, Any], *, resume: bool) -> bool:
        """Prepare the folder.

        Args:
            plan: Everything that decides what is learned.
            resume: Resume the tuning in the folder.

        Returns:
            Whether the model was finished before, with the same plan.

        Raises:
            WrongUse: The folder holds something else.
        """
        finished = self.out / RESULT
        begun = finished if finished.is_file() else self.work / PLAN
        if begun.is_file():
            differing = _differing(read_json(begun), plan)
            what = "a tuned model" if begun == finished else "a tuning that was not finished"
            if not resume:
                more = "" if begun == finished else "add --resume to continue it, "
                raise WrongUse(f"--out: {self.out} holds {what}\n  {more}give another folder, or delete it")
            if differing:
                raise WrongUse(
                    f"--out: {self.out} holds {what}, but not this one: {', '.join(differing)} differ\n"
                    "  use the same options, data and model, or give another folder"
                )
            if begun == finished:
                shutil.rmtree(self.work, ignore_errors=True)  # left over if a kill came between the two
            return begun == finished
        if self.out.is_dir() and any(path.name != WORK for path in self.out.iterdir()):
            raise WrongUse(f"--out: {self.out} is not empty\n  give another folder")
        self.work.mkdir(parents=True, exist_ok=True)
        write_json(self.work / PLAN, plan)
        return False

    def checkpoint(self) -> Path | None:
        """Return the newest complete checkpoint; incomplete ones left by a kill are deleted."""
        found: list[tuple[int, Path]] = []
        for folder in self.work.glob("checkpoint-*"):
            try:
                found.append((read_json(folder / STATE)["global_step"], folder))
            except (OSError, ValueError, KeyError):  # the state is written last
                shutil.rmtree(folder)
        return max(found)[1] if found else None

    def finish(self, result: Mapping[str, Any]) -> None:
        """Write the result, which marks the folder as finished, and delete the checkpoints."""
        write_json(self.out / RESULT, result)
        shutil.rmtree(self.work)


def _differing(before: Mapping[str, Any], plan: Mapping[str, Any]) -> list[str]:
    """Return the names of what differs between two plans: `settings.rank`, `data.instructions.digest`."""
    one, other = _flat(before), _flat(plan)
    return sorted(name for name in other if one.get(name) != other[name])


def _flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in tree.items():
        found |= _flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value}
    return found


def read_json(file: Path) -> dict[str, Any]:
    """Read a file written by `write_json`."""
    return json.loads(file.read_text(encoding="utf-8"))


def write_json(file: Path, content: Mapping[str, Any]) -> None:
    """Write a file completely or not at all."""
    begun = file.with_name(f".{file.name}.part")
    begun.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    os.replace(begun, file)
