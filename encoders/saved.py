"""What the folder of a saved encoder says: how it pools, and which of the users' events it was tuned on.

A tuned encoder's folder holds knowflow_tuning.json, whose `seen_until` is the time of the newest event it learnt from.
Its vectors count as known only to samples strictly later than that (feature_store.releases.released_knowledge): the
vector of a film of 1995 would otherwise tell a sample of 1996 what users went on to see in 2018.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

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


def saved_pooling(said: Mapping[str, Any]) -> str:
    """The pooling that the config of a Pooling module names; older ones have a switch for each.

    Example:
        >>> saved_pooling({"pooling_mode": "lasttoken"}), saved_pooling({"pooling_mode_mean_tokens": True})
        ('lasttoken', 'mean')
    """
    if said.get("pooling_mode"):
        return str(said["pooling_mode"])
    switches = {
        "mean": "pooling_mode_mean_tokens",
        "cls": "pooling_mode_cls_token",
        "lasttoken": "pooling_mode_lasttoken",
    }
    return next((name for name, switch in switches.items() if said.get(switch)), "a way unknown here")
