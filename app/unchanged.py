"""Whether a refresh has anything to do: nothing, if all that it reads is as the last one left it.

A refresh that leaves nothing to ask notes a digest of what it read: settings, data, prompts, code and models, each by
its bytes, and the files of the store. The next one compares before it loads anything.
"""

import hashlib
import json
import os
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from app.asking import Asking
from app.config import Config
from base.files import sha256_of, write_whole
from base.plugins import PLUGIN, SOURCE
from engines.model_folder import add_file
from feature_store.forgotten import RECEIPTS
from feature_store.state import state_of
from knowflow_start import ROOMS
from sources.load import files_of

STARTED = time.time()
"""When this process began to import its code."""
FILE = "refreshed.json"
"""In the home folder: the digest that the last refresh noted, and its release."""
HERE = Path(__file__).resolve().parents[1]
UNREAD = ("__pycache__", ".git", ".venv")
"""Folders that hold nothing that a refresh reads."""


def what_is_read(config: Config, tasks: Sequence[str] | None, asking: Asking) -> str | None:
    """Return a digest of all that a refresh reads but the store.

    Args:
        config: The config, with the engine of the run.
        tasks: Techniques to run; None for those of knowflow.yaml.
        asking: Settings of the run.

    Returns:
        64 hexadecimal digits; None where something is read that no digest covers: errors to retry, an engine of the
        user's own outside the plug-ins, a store in a bucket, or code that was edited after this process imported it.
    """
    if asking.retry or ":" in config.engine.name or config.store is not None:
        return None
    digest = hashlib.sha256()
    settings = config.model_dump(mode="json", exclude={"path"})  # a comment is no change
    said = {"settings": settings, "tasks": tasks, "asking": asking.model_dump(mode="json"), "software": software()}
    digest.update(json.dumps(said, sort_keys=True, default=str).encode())
    code = {*_code(), *_imported()}
    if _older_in_memory(config, code):
        return None
    known = code | {*_known(config)}
    for path in sorted(known | {*_named(config, settings)}):
        digest.update(f"\0{path}\0".encode(errors="surrogateescape"))
        if path in known:
            digest.update(sha256_of(path).encode())
        else:
            add_file(digest, path)  # of a model's weights, a few samples
    return digest.hexdigest()


def code_digest(config: Config) -> str | None:
    """Return a digest of all code that a refresh runs: ours, plug-ins, and what is installed.

    None where no digest covers it: an engine of the user's own, or code that was edited after this process imported it.
    """
    code = {*_code(), *_imported()}
    if ":" in config.engine.name or _older_in_memory(config, code):
        return None
    digest = hashlib.sha256(json.dumps(software()).encode())
    plugins = {path for folder in config.plugin_folders for path in _files_below(folder, config.home_folder)}
    for path in sorted(code | plugins):
        digest.update(f"\0{path}\0{sha256_of(path)}".encode(errors="surrogateescape"))
    return digest.hexdigest()


def named_digest(config: Config, settings: Any) -> str:
    """Return a digest of some settings and of the files that they name."""
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode())
    for path in sorted({*_named(config, settings)}):
        digest.update(f"\0{path}\0".encode(errors="surrogateescape"))
        add_file(digest, path)  # of a model's weights, a few samples
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
        yield from _files_below(HERE / room, HERE)


def _imported() -> Iterator[Path]:
    """Yield the files of modules that plug-ins import from elsewhere: neither installed, nor Python's, nor ours."""
    known = tuple(map(Path, {sys.prefix, sys.base_prefix, HERE}))
    for name, module in list(sys.modules.items()):
        path = Path(getattr(module, "__file__", None) or "")
        installed = {"site-packages", "dist-packages"} & set(path.parts) or any(map(path.is_relative_to, known))
        if path.suffix == ".py" and path.is_file() and not installed and not name.startswith(PLUGIN):
            yield path


def _older_in_memory(config: Config, code: Iterable[Path]) -> bool:
    """Return whether this process runs code that is no longer what the files hold, such as a notebook's."""
    for name, module in list(sys.modules.items()):
        if name.startswith(PLUGIN) and (path := Path(module.__file__ or "")).is_file():
            ours = any(path.is_relative_to(folder) for folder in config.plugin_folders)
            if ours and vars(module).get(SOURCE) != sha256_of(path):
                return True
    return any(path.stat().st_ctime > STARTED for path in code)


def _known(config: Config) -> Iterator[Path]:
    """Yield the data's files, and all that lies in folders of plug-ins, prompts and receipts."""
    yield from files_of(config.source, config.folder)
    for folder in (config.own_prompts, config.home_folder / RECEIPTS, *config.plugin_folders):
        yield from _files_below(folder, config.home_folder)


def _named(config: Config, settings: Any) -> Iterator[Path]:
    """Yield every other file that a setting names, by its path or its folder: models, domains, lists of subjects.

    A word that only happens to name a file costs a moment; a folder above knowflow.yaml holds more than a model.
    """
    above = {config.folder, *config.folder.parents, Path.home(), config.home_folder}
    for word in _words(settings):
        try:
            path = (config.folder / Path(word).expanduser()).resolve()
            if path in above:
                continue
            if path.is_dir():
                yield from _files_below(path, config.home_folder)
            elif path.is_file():
                yield path
        except (OSError, RuntimeError, ValueError):  # no path: too long, of nobody's home, with a null character
            continue


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


def _files_below(folder: Path, home: Path) -> Iterator[Path]:
    """Yield all files below a folder, in linked and hidden folders too, but not those of the home."""
    seen = {home, folder.resolve()}
    for above, names, files in os.walk(folder, followlinks=True):
        below = {name: (Path(above) / name).resolve() for name in names if name not in UNREAD}
        names[:] = [name for name, path in below.items() if path not in seen]
        seen.update(below.values())  # a link may lead back
        yield from (path for name in files if (path := Path(above) / name).is_file())
