"""Fitted recommenders on disk: arrays as safetensors, the rest as one JSON file; loading executes no code."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file

from base.faults import WrongUse
from base.frozen import Frozen
from base.plugins import choose
from recommenders.protocol import RECOMMENDERS, Fitted, Recommender, State

ARRAYS, FACTS = "model.safetensors", "model.json"


@dataclass(frozen=True)
class Kept:
    """A fitted recommender, read from its folder."""

    name: str
    """Name of the recommender."""
    model: Fitted
    """The fitted model."""
    items: Sequence[str]
    """[I] ids of the catalogue, in the order of the model's indices."""
    facts: Mapping[str, Any]
    """Facts about the fit: `seen_until` (the newest event, ISO), `release`, `options` and so on."""


def keep(
    folder: Path, recommender: Recommender, options: Frozen, model: Fitted, items: Sequence[str], about: Mapping
) -> None:
    """Write a fitted recommender; replace an existing one.

    Args:
        folder: Its folder; created if missing.
        recommender: The recommender.
        options: Its options.
        model: The fitted model.
        items: [I] ids of the catalogue.
        about: Facts about the fit, plain JSON.
    """
    state = model.state()
    folder.mkdir(parents=True, exist_ok=True)
    arrays = {name: np.ascontiguousarray(array) for name, array in state.arrays.items()}
    save_file(arrays, folder / ARRAYS)
    facts = {
        "recommender": recommender.name,
        "options": options.model_dump(mode="json"),
        **about,
        "state": dict(state.facts),
        "items": list(items),
    }
    (folder / FACTS).write_text(json.dumps(facts, ensure_ascii=False) + "\n", encoding="utf-8")


def load(folder: Path, plugins: Sequence[Path] = ()) -> Kept:
    """Read a fitted recommender.

    Args:
        folder: Its folder.
        plugins: Folders of a team's own recommenders.

    Raises:
        WrongUse: The folder has none.
        UnknownPlugin: The recommender no longer exists.
    """
    if not (folder / FACTS).is_file():
        fix = f"fit one: knowflow eval recommend --model {folder.name}"
        raise WrongUse(f"{folder}: holds no fitted recommender\n  {fix}")
    facts = json.loads((folder / FACTS).read_text(encoding="utf-8"))
    (recommender,) = choose(RECOMMENDERS, [facts["recommender"]], plugins)
    options = recommender.options.model_validate(facts["options"])
    model = recommender.load(State(load_file(folder / ARRAYS), facts["state"]), options)
    return Kept(recommender.name, model, facts["items"], facts)
