"""Looks at test rows: every comparison on them is recorded, because each look makes the next figure worth less.

A setting that was kept because it did well on test rows has seen them; the number of looks shows how often that could
have happened.
"""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

FILE = "looks.jsonl"


def note_look(folder: Path, data_version: str, by: str, arms: list[str]) -> None:
    """Record one look.

    Args:
        folder: Folder of the training runs.
        data_version: Version of the data whose test rows were looked at.
        by: What looked: a training run, or a script.
        arms: The evaluated arms.
    """
    look = {"time": datetime.now(UTC).isoformat(), "data_version": data_version, "by": by, "arms": arms}
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / FILE).open("a", encoding="utf-8") as file:
        file.write(json.dumps(look) + "\n")


def read_looks(folder: Path) -> list[dict[str, Any]]:
    """Read all recorded looks, oldest first."""
    path = folder / FILE
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.is_file() else []


def count_looks(folder: Path, data_version: str) -> int:
    """Count the looks at the test rows of a version of the data."""
    return sum(look["data_version"] == data_version for look in read_looks(folder))
