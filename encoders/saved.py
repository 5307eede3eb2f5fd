"""Read from the folder of a saved encoder how it pools and which of the users' events it was tuned on.

A tuned encoder's folder has a knowflow_tuning.json, whose `seen_until` is the time of the newest event it learned from.
Only samples strictly later than that get its vectors (feature_store.releases.released_knowledge): otherwise the vector
of a film from 1995 would reveal to a sample from 1996 what users went on to watch in 2018.
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
    """How a model was tuned, according to its folder."""

    seen_until: datetime | None = None
    """Time of the newest event it was tuned on; None if it was tuned on none."""
    wrapping: Wrapping | None = None
    """The prompt to put around a text before encoding; None: no prompt."""


def read_tuned(folder: Path) -> Tuned:
    """Read what a model was tuned on; without the file, the model has seen no event of the user.

    Raises:
        ValueError: It was tuned but does not record until when, so leaks could not be ruled out.
    """
    file = folder / FILE
    if not file.is_file():
        return Tuned()
    said = json.loads(file.read_text(encoding="utf-8"))
    if "seen_until" not in said:
        raise ValueError(f"{file} has no `seen_until`, the time of the newest event that the model was tuned on")
    return Tuned(None if said["seen_until"] is None else moment(said["seen_until"]), encoder_wrapping(folder))


def saved_pooling(said: Mapping[str, Any]) -> str:
    """Return the pooling in the config of a Pooling module; older configs have a switch for each.

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
    return next((name for name, switch in switches.items() if said.get(switch)), "an unknown method")
