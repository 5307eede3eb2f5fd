"""Write a model folder at once or not at all, and read what a model folder holds."""

import json
import os
import shutil
import struct
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import yaml
from filelock import FileLock
from safetensors import SafetensorError, safe_open

from base.faults import CheckFailed, WrongUse
from engines.model_folder import fingerprint, missing_parts

CARD = "README.md"
READABLE, READABLE_FOLDER = 0o644, 0o755
NAMES = {"F32": "float32", "F16": "float16", "BF16": "bfloat16"}
"""Number formats in a safetensors file -> their names in torch."""


@dataclass(frozen=True)
class Model:
    """What a model folder holds."""

    name: str
    """Name of the folder, which is the model's name in every answer's key."""
    folder: Path
    """The folder."""
    bytes: int
    """Size of all its files."""
    parameters: int
    """Number of weights."""
    dtype: str
    """Number format of most weights."""
    context: int | None
    """Tokens that it reads; None if its config does not say."""
    template: bool
    """Whether it has a chat template."""
    licence: str
    """Licence by its card; empty if the card does not say."""
    fingerprint: str
    """Its revision in every answer's key, if none is set."""


def read_model(folder: Path) -> Model:
    """Read what a model folder holds; no weight is loaded.

    Raises:
        WrongUse: It lacks a part, or a weights file is cut off or damaged.
    """
    if missing := missing_parts(folder):
        raise WrongUse(f"{folder} is no model: it holds no {' and no '.join(missing)}\n  get its missing files")
    config = _json(folder / "config.json")
    text = config.get("text_config", config)
    counts: dict[str, int] = {}
    for file in sorted(folder.glob("*.safetensors")):
        for kind, count in _weights(file):
            counts[kind] = counts.get(kind, 0) + count
    index, stored = folder / "model.safetensors.index.json", folder / "tokenizer_config.json"
    listed = set(_json(index).get("weight_map", {}).values()) if index.is_file() else set()
    if lost := sorted(name for name in listed if not (folder / name).is_file()):
        raise WrongUse(f"{folder} lacks files of its weights: {', '.join(lost)}\n  get these files")
    most = max(counts, key=lambda kind: counts[kind], default="")
    template = (folder / "chat_template.jinja").is_file() or bool(
        stored.is_file() and _json(stored).get("chat_template")
    )
    return Model(
        name=folder.resolve().name,
        folder=folder,
        bytes=sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()),
        parameters=sum(counts.values()),
        dtype=NAMES.get(most, most),
        context=text.get("max_position_embeddings"),
        template=template,
        licence=str(read_card(folder).get("license", "")),
        fingerprint=fingerprint(folder),
    )


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise WrongUse(f"{path} is no JSON: {error}\n  get the file again") from error
    return content if isinstance(content, dict) else {}


def _weights(file: Path) -> Iterator[tuple[str, int]]:
    """Yield the number format and the number of weights of every tensor of a safetensors file."""
    try:
        with safe_open(file, framework="numpy") as weights:  # checks that the file is as long as its header says
            for name in weights.keys():  # noqa: SIM118 - no dict
                part = weights.get_slice(name)
                yield part.get_dtype(), prod(part.get_shape())
    except (SafetensorError, struct.error) as error:
        raise WrongUse(f"{file} is cut off or damaged: {error}\n  get the file again") from error


def read_card(folder: Path) -> Mapping[str, Any]:
    """Return the settings at the top of a model's card; empty without one."""
    card = folder / CARD
    parts = card.read_text(encoding="utf-8", errors="replace").split("---\n", 2) if card.is_file() else []
    try:
        settings = yaml.safe_load(parts[1]) if len(parts) == 3 and not parts[0].strip() else {}
    except yaml.YAMLError:
        settings = {}
    return settings if isinstance(settings, dict) else {}


def write_model(to: Path, source: Mapping[str, str], fill: Callable[[Path, Path], str]) -> Model | None:
    """Make a model folder; it gets its name when it is whole.

    Until then it is a hidden folder beside it, which the next run removes if this one is killed.

    Args:
        to: The folder to make.
        source: Settings for the top of its card, which say what it is made of.
        fill: Fills a folder, given it and another one for passing files; returns the text of the card.

    Returns:
        The model; None if the folder has been made of the same source before.

    Raises:
        WrongUse: There is another folder with this name, or it cannot be written.
        CheckFailed: The folder is made of this source, and was changed since.
    """
    to.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(to.parent / f".{to.name}.lock"):
        making = to.parent / f".{to.name}.making"
        shutil.rmtree(making, ignore_errors=True)
        if to.exists():
            _check_same(to, source)
            return None
        with _removed_on_failure(making):
            model, passing = making / "model", making / "passing"
            model.mkdir(parents=True)
            passing.mkdir()
            about = fill(model, passing)
            settings = {**source, "fingerprint": fingerprint(model)}
            (model / CARD).write_text(f"---\n{yaml.safe_dump(settings, sort_keys=False)}---\n{about}", encoding="utf-8")
            for path in (*model.rglob("*"), model):
                path.chmod(READABLE if path.is_file() else READABLE_FOLDER)  # safetensors lets only its owner read
                _to_disk(path)
            model.rename(to)
            _to_disk(to.parent)
            shutil.rmtree(making)
    return read_model(to)


def _check_same(to: Path, source: Mapping[str, str]) -> None:
    card = read_card(to)
    if any(card.get(name) != value for name, value in source.items() if name.endswith("sha256")):
        raise WrongUse(f"{to} is there already, and is not made of this\n  rename it, or give another folder with --to")
    if card.get("fingerprint") != (now := fingerprint(to)):
        raise CheckFailed(
            f"{to} was changed after it was made: its fingerprint was {card.get('fingerprint')}, and is {now}\n"
            "  rename or remove it, then run this again"
        )


@contextmanager
def _removed_on_failure(folder: Path) -> Iterator[None]:
    try:
        yield
    except BaseException as error:
        shutil.rmtree(folder, ignore_errors=True)
        if isinstance(error, SafetensorError):
            raise WrongUse(
                f"the weights cannot be written to {folder.parent}: {error}\n  make room, run this again"
            ) from error
        raise


def _to_disk(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
