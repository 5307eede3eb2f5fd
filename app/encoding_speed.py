"""How fast encoders were on this machine, and how long the next encoding will take by that.

The home folder has the newest runs of each encoder with each technique, because texts of one technique have similar
lengths. A run with other settings, with another executor or on another machine says nothing about this one.
"""

import json
import logging
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.config import Config
from app.workplace import encoders_of, open_store
from base.faults import WrongUse
from base.files import write_whole
from llm_tasks.pipeline.encode_plan import texts_to_encode
from llm_tasks.pipeline.plan import TaskPlan

FILE = "encoding_speed.json"
RECENT = 5
"""How many past runs to average."""
LOG = logging.getLogger(__name__)
Runs = dict[str, list[dict[str, float]]]


@dataclass(frozen=True)
class ExpectedEncoding:
    """What one encoder would do for one technique, or for one part of its answers."""

    task: str
    """Name of the technique, or TECHNIQUE.PART."""
    encoder: str
    """Name of the encoder."""
    texts: int
    """Number of texts without a vector; every row to ask is counted as one new text."""
    seconds_estimate: float | None
    """How long they take by past runs, without the start of the encoder; None if there were none."""
    start_seconds_estimate: float | None
    """How long the encoder takes to load its model, or to fit, by past runs; 0 if there is nothing to encode."""


def note_speeds(config: Config, made: Sequence[Mapping[str, Any]]) -> None:
    """Record how fast encoders were, for the next plan.

    Args:
        config: The config.
        made: What each encoder did: the fields of `llm_tasks.pipeline.encode.Encoded`.
    """
    worked = [one for one in made if one["new"]]
    if not worked:
        return
    try:
        runs = _read(config)
    except WrongUse as fault:  # what is encoded is worth more than its speed
        LOG.warning("%s; it is begun anew", str(fault).splitlines()[0])
        runs = {}
    for one in worked:
        run = {name: one[name] for name in ("new", "seconds", "start_seconds")}
        key = _key(config, one["task"], one["encoder"])
        runs[key] = [*runs.get(key, []), run][-RECENT:]
    write_whole(_file(config), json.dumps(runs))


def expected_encoding(config: Config, plans: Sequence[TaskPlan], *, retry: bool = False) -> list[ExpectedEncoding]:
    """Return what encoding after a planned refresh would take; no model is loaded.

    Args:
        config: The config.
        plans: Plans of techniques.
        retry: Whether the plans hold only rows to be asked again.

    Raises:
        WrongUse: An encoder cannot be used.
    """
    runs, store, found = _read(config), open_store(config), list[ExpectedEncoding]()
    started = set[str]()
    for plan in plans:
        encoders = encoders_of(config, plan.task.name)
        for one in texts_to_encode(plan, encoders, store, config.folder, config.plugin_folders, retry=retry):
            past = runs.get(_key(config, one.task, one.encoder), [])
            starts = max((run["start_seconds"] for run in past), default=None)
            if not one.texts or one.encoder in started:
                starts = 0.0  # one process encodes for all techniques
            elif starts is not None:
                started.add(one.encoder)
            found.append(ExpectedEncoding(one.task, one.encoder, one.texts, _seconds(one.texts, past), starts))
    return found


def _seconds(texts: int, past: Sequence[Mapping[str, float]]) -> float | None:
    if not texts:
        return 0.0
    encoded = sum(run["new"] for run in past)
    return texts * sum(run["seconds"] for run in past) / encoded if encoded else None


def _key(config: Config, task: str, encoder: str) -> str:
    settings = [one.model_dump(mode="json") for one in (config.encoders[encoder], config.executor)]
    return json.dumps([task, encoder, *settings, platform.node()])


def _file(config: Config) -> Path:
    return config.home_folder / FILE


def _read(config: Config) -> Runs:
    file = _file(config)
    try:
        noted = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    except ValueError:
        noted = None
    if not isinstance(noted, dict):
        raise WrongUse(f"{file}: is damaged\n  delete it: it only says how fast encoders were")
    return noted
