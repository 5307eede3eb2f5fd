"""Whether a refresh has anything to do: nothing, if all that it reads is as the last one left it.

A refresh that leaves nothing to ask notes a digest of what it read: settings, data, prompts, code and models, each by
its bytes, and the files of the store. The next one compares before it loads anything.
"""

import glob
import hashlib
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from app.asking import Asking
from app.config import Config
from base.files import write_whole
from engines.model_folder import add_file
from feature_store.forgotten import RECEIPTS
from feature_store.state import state_of
from knowflow_start import ROOMS

FILE = "refreshed.json"
"""In the home folder: the digest that the last refresh noted, and its release."""
HERE = Path(__file__).resolve().parents[1]
UNREAD = ("__pycache__",)
"""Folders that hold nothing that a refresh reads."""


def what_is_read(config: Config, tasks: Sequence[str] | None, asking: Asking) -> str | None:
    """Return a digest of all that a refresh reads but the store.

    Args:
        config: The config, with the engine of the run.
        tasks: Techniques to run; None for those of knowflow.yaml.
        asking: Settings of the run.

    Returns:
        64 hexadecimal digits; None where something is read that no digest covers: errors to retry, an engine of the
        user's own outside the plug-ins, or a store in a bucket.
    """
    if asking.retry or ":" in config.engine.name or config.store is not None:
        return None
    digest = hashlib.sha256()
    settings = config.model_dump(mode="json", exclude={"path"})  # a comment is no change
    said = {"settings": settings, "tasks": tasks, "asking": asking.model_dump(mode="json"), "software": software()}
    digest.update(json.dumps(said, sort_keys=True, default=str).encode())
    for path in sorted({*_code(), *_imported(), *_given(config, settings)}):
        digest.update(f"\0{path}\0".encode(errors="surrogateescape"))
        add_file(digest, path)
    return digest.hexdigest()


def software() -> list[str]:
    """Return the names and versions of everything that is installed."""
    folders = [Path(one) for one in sys.path if one and Path(one).is_dir()]
    return [sys.version, *sorted(one.name for folder in folders for one in folder.glob("*.dist-info"))]


def unchanged_since(config: Config, read: str | None) -> str | None:
    """Return the release of the last refresh if nothing has changed since it, or None.

    Args:
        config: The config.
        read: From `what_is_read`.
    """
    try:
        noted = json.loads((config.home_folder / FILE).read_text(encoding="utf-8"))
        release = str(noted["release"])
    except (OSError, ValueError, KeyError, TypeError):  # never noted, or not by us
        return None
    return release if read is not None and noted == _note(config, read, release) else None


def note_refreshed(config: Config, read: str | None, release: str) -> None:
    """Note that a refresh has left nothing to do.

    Args:
        config: The config.
        read: From `what_is_read`, taken before anything was read.
        release: The release that is current now.
    """
    if read is not None:
        write_whole(config.home_folder / FILE, json.dumps(_note(config, read, release)))


def _note(config: Config, read: str, release: str) -> dict[str, str]:
    return {"release": release, "read": read, "store": state_of(config.store_folder)}


def _code() -> Iterator[Path]:
    for room in ROOMS:
        yield from _files_below(HERE / room)


def _imported() -> Iterator[Path]:
    """Yield the files of modules that plug-ins import from elsewhere: neither installed, nor Python's, nor ours."""
    known = tuple(map(Path, {sys.prefix, sys.base_prefix, HERE}))
    for module in list(sys.modules.values()):
        path = Path(getattr(module, "__file__", None) or "")
        installed = {"site-packages", "dist-packages"} & set(path.parts) or any(map(path.is_relative_to, known))
        if path.suffix == ".py" and path.is_file() and not installed:
            yield path


def _given(config: Config, settings: Any) -> Iterator[Path]:
    """Yield every file that a setting names, by its path, its folder or a pattern, and all that lies in known folders.

    A word that happens to be the name of a file is read for nothing, which costs a moment.
    """
    above = {config.folder, *config.folder.parents}
    known = [config.own_prompts, config.home_folder / RECEIPTS, *config.plugin_folders]
    named = [config.folder / Path(word).expanduser() for word in _words(settings) if word and "\0" not in word]
    for path in {*known, *(one.resolve() for one in named)} - above - {config.home_folder}:
        if path.is_dir():
            yield from _files_below(path)
        elif path.is_file():
            yield path
        elif glob.has_magic(str(path)):
            yield from (one for one in map(Path, glob.iglob(str(path))) if one.is_file())


def _words(settings: Any) -> Iterator[str]:
    """Yield all texts of nested settings, keys among them."""
    if isinstance(settings, str):
        yield settings
    elif isinstance(settings, dict):
        for key, value in settings.items():
            yield from _words(key)
            yield from _words(value)
    elif isinstance(settings, Iterable):
        for value in settings:
            yield from _words(value)


def _files_below(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        if path.is_file() and not any(
            part.startswith(".") or part in UNREAD for part in path.relative_to(folder).parts
        ):
            yield path
