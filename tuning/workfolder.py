"""The folder of a tuning: its checkpoints while it runs, and what it is about, so that it goes on only as it began."""

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from base.faults import WrongUse

RESULT = "knowflow_tuning.json"
"""What the model was tuned on; written last, so that a folder that has it is finished."""
WORK = ".tuning"
"""Hidden, so that it is no part of an adapter's fingerprint; it is deleted in the end."""
PLAN, STATE = "plan.json", "trainer_state.json"


class WorkFolder:
    """Where a tuning writes.

    Args:
        out: Folder of the tuned model.
    """

    def __init__(self, out: Path) -> None:
        self.out = out.resolve()
        self.work = self.out / WORK

    def begin(self, plan: Mapping[str, Any], *, resume: bool) -> bool:
        """Make the folder ready.

        Args:
            plan: All that decides what will be learnt.
            resume: Go on with what lies there.

        Returns:
            Whether the model was finished before, by the same plan.

        Raises:
            WrongUse: The folder holds something else.
        """
        finished = self.out / RESULT
        begun = finished if finished.is_file() else self.work / PLAN
        if begun.is_file():
            differing = _differing(read_json(begun), plan)
            what = "a tuned model" if begun == finished else "a tuning that was not finished"
            if not resume:
                more = "" if begun == finished else "add --resume to go on with it, "
                raise WrongUse(f"--out: {self.out} holds {what}\n  {more}name another folder, or delete it")
            if differing:
                raise WrongUse(
                    f"--out: {self.out} holds {what}, and not this one: {', '.join(differing)} differ\n"
                    "  give the same options, data and model, or name another folder"
                )
            if begun == finished:
                shutil.rmtree(self.work, ignore_errors=True)  # where a kill came between the two
            return begun == finished
        if self.out.is_dir() and any(path.name != WORK for path in self.out.iterdir()):
            raise WrongUse(f"--out: {self.out} is not empty\n  name another folder")
        self.work.mkdir(parents=True, exist_ok=True)
        write_json(self.work / PLAN, plan)
        return False

    def checkpoint(self) -> Path | None:
        """The newest whole checkpoint; those that a kill left in pieces are deleted."""
        found: list[tuple[int, Path]] = []
        for folder in self.work.glob("checkpoint-*"):
            try:
                found.append((read_json(folder / STATE)["global_step"], folder))
            except (OSError, ValueError, KeyError):  # the state is written last
                shutil.rmtree(folder)
        return max(found)[1] if found else None

    def finish(self, result: Mapping[str, Any]) -> None:
        """Write what was done, which makes the folder a finished one, and delete the checkpoints."""
        write_json(self.out / RESULT, result)
        shutil.rmtree(self.work)


def _differing(before: Mapping[str, Any], plan: Mapping[str, Any]) -> list[str]:
    """Names of what two plans do not agree on: `settings.rank`, `data.instructions.digest`."""
    one, other = _flat(before), _flat(plan)
    return sorted(name for name in other if one.get(name) != other[name])


def _flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in tree.items():
        found |= _flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value}
    return found


def read_json(file: Path) -> dict[str, Any]:
    """Read a file that `write_json` wrote."""
    return json.loads(file.read_text(encoding="utf-8"))


def write_json(file: Path, content: Mapping[str, Any]) -> None:
    """Write a file whole or not at all."""
    begun = file.with_name(f".{file.name}.part")
    begun.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    os.replace(begun, file)
