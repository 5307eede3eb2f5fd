"""What an encoder that was tuned on users' events knows: vectors of it are news of these events, so they are dated.

A tuned encoder's folder holds knowflow_tuning.json, whose `seen_until` is the time of the newest event it learnt from.
Its vectors count as known only to samples strictly later than that (feature_store.releases.released_knowledge): the
vector of a film of 1995 would otherwise tell a sample of 1996 what users went on to see in 2018.
"""

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from engines.seen import FILE, moment
from prompts.notes import Wrapping, encoder_wrapping


@dataclass(frozen=True)
class Tuned:
    """What a model's folder says of how it came about."""

    seen_until: datetime | None = None
    """Time of the newest event it was tuned on; None for a model that was tuned on none."""
    wrapping: Wrapping | None = None
    """What is put around a text before it is encoded; None: it is encoded as it is."""


def read_tuned(folder: Path) -> Tuned:
    """Read what a model was tuned on; a folder without that file holds a model that knows no event of the user's.

    Raises:
        ValueError: It was tuned and does not say until when, so that nobody could tell what it leaks.
    """
    file = folder / FILE
    if not file.is_file():
        return Tuned()
    said = json.loads(file.read_text(encoding="utf-8"))
    if "seen_until" not in said:
        raise ValueError(f"{file} does not say `seen_until`, the time of the newest event that the model was tuned on")
    return Tuned(None if said["seen_until"] is None else moment(said["seen_until"]), encoder_wrapping(folder))
