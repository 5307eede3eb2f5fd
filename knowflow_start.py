"""Where KnowFlow starts. Its rooms lie at the top of site-packages, so this checks first that nothing else lies there.

It imports the standard library alone: any other module may be the one that is not ours.
"""

import csv
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

ROOMS = (
    "base",
    "sources",
    "prompts",
    "feature_store",
    "engines",
    "encoders",
    "llm_tasks",
    "tuning",
    "retrieval",
    "ctr",
    "recommenders",
    "evals",
    "app",
    "flows",
    "cli",
)
HERE = Path(__file__).resolve().parent
FIX = """  give KnowFlow an environment of its own: python -m venv knowflow-env; knowflow-env/bin/pip install knowflow
  or remove the other one and install KnowFlow again: pip install --force-reinstall --no-deps knowflow"""


def main() -> None:
    """Run the command line."""
    try:
        check_rooms()
    except ImportError as clash:
        sys.stderr.write(f"{clash}\n")
        sys.exit(2)
    from cli.main import main as run  # noqa: PLC0415 - only now is it certain whose it is

    run()


def check_rooms(folder: Path = HERE) -> None:
    """Check that every room is KnowFlow's own.

    Args:
        folder: Where the rooms should lie.

    Raises:
        ImportError: Another package hides a room, or has overwritten a file of one; all of them at once.
    """
    if faults := [*_hidden(folder), *_overwritten(folder)]:
        raise ImportError("\n".join([*faults, FIX]))


def _hidden(folder: Path) -> Iterator[str]:
    """Name the rooms that `import` does not find in the folder."""
    for room in ROOMS:
        spec = find_spec(room)
        found = spec.origin if spec is not None else None
        if found is None:
            yield f"{room}: a package of KnowFlow, is not in {folder}"
        elif Path(found).resolve().parent != folder / room:
            yield f"{room}: a package of KnowFlow, is hidden by {found}{_of(room)}"


def _overwritten(folder: Path) -> Iterator[str]:
    """Name the files that do not have the size which they were installed with, where another package has the room, too.

    A file that somebody has edited by hand is left alone.
    """
    for record in folder.glob("knowflow-*.dist-info/RECORD"):
        with record.open(encoding="utf-8", newline="") as lines:
            sizes = {path: int(size) for path, _, size in csv.reader(lines) if size}
        changed = [path for path, size in sizes.items() if path.split("/")[0] in ROOMS and _size(folder / path) != size]
        for path in changed:
            if owner := _of(path.split("/")[0]):
                yield f"{path}: a file of KnowFlow, was overwritten or removed{owner}"


def _size(path: Path) -> int | None:
    return path.stat().st_size if path.is_file() else None


def _of(room: str) -> str:
    """Say which other installed distributions have a package of this name; reading them all takes seconds."""
    from importlib.metadata import packages_distributions  # noqa: PLC0415 - only a clash needs it

    others = sorted(set(packages_distributions().get(room, [])) - {"knowflow"})
    return f"; this name is also of: {', '.join(others)}" if others else ""


if __name__ == "__main__":
    main()
