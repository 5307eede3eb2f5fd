"""Remembers beside the store when its files were last checked, and what was found."""

import json
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from app.config import Config
from base.files import write_whole
from feature_store.verify import Report

FILE = "verified.json"


@dataclass(frozen=True)
class Verification:
    """A check of every file of a store."""

    at: datetime
    """When it was."""
    damaged: int
    """How many files were damaged."""


def note_verification(config: Config, report: Report) -> None:
    """Note in the home folder, if it can be written, what a check of the whole store has found."""
    damaged = sum(not one.harmless for one in report.findings)
    said = {"at": datetime.now(UTC).isoformat(timespec="seconds"), "damaged": damaged}
    with suppress(OSError):
        write_whole(config.home_folder / FILE, json.dumps(said) + "\n")


def last_verification(config: Config) -> Verification | None:
    """Return the newest check; None if there was none, or its note cannot be read."""
    try:
        said = json.loads((config.home_folder / FILE).read_text(encoding="utf-8"))
        return Verification(datetime.fromisoformat(said["at"]), int(said["damaged"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
