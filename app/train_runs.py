"""Training runs on disk: one numbered folder each, with the inputs and results of the run."""

import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from base.faults import WrongUse
from base.files import write_whole

SHARED = "inputs"
"""Folder in a run of what its arms read of the data."""
GIVEN_UP = timedelta(days=7)
"""A run without a result that nothing has written to for so long was killed."""


@dataclass(frozen=True)
class TrainRun:
    """One training run."""

    folder: Path
    """Its folder."""

    @property
    def name(self) -> str:
        """Return train-000001 and so on."""
        return self.folder.name

    @property
    def shared(self) -> Path:
        """Return the folder of what its arms read of the data; it is there while they train."""
        return self.folder / SHARED

    def read(self, part: str) -> dict[str, Any]:
        """Read one of its JSON files: `run` or `result`.

        Raises:
            WrongUse: The run has not written that file yet.
        """
        path = self.folder / f"{part}.json"
        if not path.is_file():
            raise WrongUse(f"{self.name}: did not finish (it has no {path.name})\n  train again: knowflow train")
        return json.loads(path.read_text(encoding="utf-8"))

    def write(self, part: str, content: Mapping[str, Any]) -> None:
        """Write one of its JSON files, whole or not at all."""
        write_whole(self.folder / f"{part}.json", json.dumps(content, default=str, allow_nan=False))


def models_folder(home: Path, run: str) -> Path:
    """Return the folder of the kept models of a run, which has one subfolder per arm."""
    return home / "models" / run


def list_runs(home: Path) -> list[TrainRun]:
    """List all finished runs, oldest first."""
    return [TrainRun(path.parent) for path in sorted(home.glob("train/train-*/result.json"))]


def get_run(home: Path, name: str | None = None) -> TrainRun:
    """Return a run by name, or the newest finished one.

    Raises:
        WrongUse: There is no such run.
    """
    runs = list_runs(home) if name is None else [TrainRun(home / "train" / name)]
    if runs and runs[-1].folder.is_dir():
        return runs[-1]
    if name is not None and (there := ", ".join(run.name for run in list_runs(home)[-5:])):
        raise WrongUse(f"{home}: there is no training run {name}; the newest are {there}")
    raise WrongUse(f"{home}: there is no finished training run\n  train first: knowflow train")


def new_run(home: Path) -> TrainRun:
    """Create the folder of the next run; two runs that start at the same moment get one each."""
    numbers = [path.name.removeprefix("train-") for path in home.glob("train/train-*")]
    number = max((int(number) for number in numbers if number.isdecimal()), default=0)
    while True:
        number += 1
        folder = home / "train" / f"train-{number:06d}"
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        return TrainRun(folder)


def unfinished_runs(home: Path, now: datetime) -> list[TrainRun]:
    """List runs without a result that nothing has written to for `GIVEN_UP`: a kill ended them."""
    folders = [path for path in sorted(home.glob("train/train-*")) if path.is_dir() and not path.is_symlink()]
    named = [path for path in folders if re.fullmatch(r"train-\d{6,}", path.name)]  # not what people put beside them
    lacking = [path for path in named if not (path / "result.json").is_file()]
    return [TrainRun(path) for path in lacking if _last_written(path) < now - GIVEN_UP]


def drop_unfinished(home: Path, now: datetime) -> list[str]:
    """Delete what killed runs have left, with their models; return the names of these runs."""
    dropped = unfinished_runs(home, now)
    for run in dropped:
        shutil.rmtree(models_folder(home, run.name), ignore_errors=True)
        shutil.rmtree(run.folder)
    return [run.name for run in dropped]


def _last_written(folder: Path) -> datetime:
    times = [path.stat().st_mtime for path in (folder, *folder.rglob("*"))]
    return datetime.fromtimestamp(max(times), UTC)


def releases_in_use(home: Path) -> set[str]:
    """Return the releases of the newest finished training run, whose report may be written again, and of later ones."""
    finished = list_runs(home)
    newest = finished[-1].name if finished else ""
    begun = [TrainRun(path.parent) for path in home.glob("train/train-*/run.json")]
    return {run.read("run")["release"] for run in begun if run.name >= newest}
