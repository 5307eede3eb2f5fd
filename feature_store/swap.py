"""Replace several tables and files of a store at once, whenever the process is killed.

Everything is made in the folder `forgetting/new` of the store. Writing the list of its parts is the commit: from then
on whoever becomes the writer finishes the replacement, which only renames. Without it, the staged parts are dropped.
"""

import json
import shutil
from contextlib import suppress
from pathlib import Path

from base.files import write_whole

WORK = "forgetting"
"""Folder of the store for what is staged."""
NEW, OLD, LIST = "new", "old", "swap.json"
BEGUN = "begun.json"
"""What a forgetting has begun with: it holds ids and texts, and is deleted at the end."""


def staged_folder(folder: Path) -> Path:
    """Return the empty folder in which the parts are made.

    Args:
        folder: Folder of the store.
    """
    staged = folder / WORK / NEW
    shutil.rmtree(staged, ignore_errors=True)
    staged.mkdir(parents=True)
    return staged


def replace_staged(folder: Path) -> None:
    """Let everything in the staged folder take the place of what has its name in the store."""
    work = folder / WORK
    shutil.rmtree(work / OLD, ignore_errors=True)
    (work / OLD).mkdir()
    parts = sorted((work / NEW).iterdir(), key=lambda path: (path.is_dir(), path.name))  # tables last
    write_whole(work / LIST, json.dumps([path.name for path in parts]) + "\n")
    finish(folder)


def finish(folder: Path) -> None:
    """Finish a replacement that a kill has stopped; drop what was staged without a commit. The caller is the writer."""
    work = folder / WORK
    if not work.is_dir():
        return
    if (work / LIST).is_file():
        for name in json.loads((work / LIST).read_text(encoding="utf-8")):
            _replace(folder / name, work / NEW / name, work / OLD / name)
        (work / LIST).unlink()
    shutil.rmtree(work / NEW, ignore_errors=True)
    shutil.rmtree(work / OLD, ignore_errors=True)
    with suppress(OSError):  # somebody else's file stays
        work.rmdir()


def _replace(place: Path, new: Path, old: Path) -> None:
    """Move one part: the old one aside, the new one into its place; each of the two may have been done."""
    if not new.exists():
        return
    if place.exists():
        place.rename(old)
    new.rename(place)
