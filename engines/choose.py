"""Build the engine that knowflow.yaml names: built in, from a team's folder, or a class from any package."""

import importlib
import inspect
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, cast

from pydantic import ValidationError

from base.frozen import Frozen
from base.plugins import Kind, UnknownPlugin, choose
from engines.protocol import Engine, EngineConfig, EngineFault, EngineKind, SecretReader
from prompts.domain import Domain

__all__ = ["ENGINES", "EngineFault", "build_engine", "read_options"]

ENGINES = Kind("engine", "engines", EngineKind)


def build_engine(
    config: EngineConfig,
    domain: Domain,
    folder: Path,
    secret: SecretReader | None = None,
    folders: Sequence[Path] = (),
) -> Engine:
    """Build an engine.

    Args:
        config: The `engine:` part of knowflow.yaml.
        domain: The words of the domain, for engines that render prompts.
        folder: Base of relative paths; the folder of knowflow.yaml.
        secret: Reads a stored secret by name; None without Prefect.
        folders: Folders of a team's own plug-ins.

    Raises:
        EngineFault: There is no such engine, or its options are wrong.
        PluginFault: A file in the folders cannot be used.
    """
    if ":" in config.name:
        engine = _of_a_package(config, domain, folder)
    else:
        kind = _kind(config.name, folders)
        engine = kind.build(config, read_options(kind, config.options), domain, folder, secret)
    said, seen = config.told_until, engine.identity.seen_until
    if said is not None and (seen is None or seen < said):
        raise EngineFault(
            f"engine.seen_until: '{config.name}' does not pass it on, so answers would not be dated by it\n"
            "  set its identity to ModelIdentity(..., seen_until=config.told_until)"
        )
    return engine


def read_options(kind: EngineKind, given: Mapping[str, Any]) -> Frozen:
    """Check the options under `engine.options`.

    Args:
        kind: The engine that they belong to.
        given: The options.

    Raises:
        EngineFault: Some are wrong; the text lists every fault and the valid options.
    """
    try:
        return kind.options.model_validate(dict(given))
    except ValidationError as error:
        faults = [_explained(dict(detail), list(kind.options.model_fields)) for detail in error.errors()]
        there = f"  the {kind.name} engine takes {', '.join(kind.options.model_fields) or 'no options'}"
        raise EngineFault("\n".join([*faults, there + (f"; {kind.page} shows each" * bool(kind.page))])) from None


def _explained(detail: Mapping[str, Any], known: Sequence[str]) -> str:
    what = str(detail["msg"]).removeprefix("Value error, ")
    if detail["type"] == "extra_forbidden":
        close = get_close_matches(str(detail["loc"][-1]), known, n=1)
        what = "there is no such option" + (f"; did you mean {close[0]!r}?" if close else "")
    return f"{'.'.join(['engine.options', *map(str, detail['loc'])])}: {what}"


def _kind(name: str, folders: Sequence[Path]) -> EngineKind:
    try:
        (kind,) = choose(ENGINES, [name], folders)
    except UnknownPlugin as unknown:
        there = ", ".join(unknown.known)
        raise EngineFault(f"engine.name: there is no engine '{name}'\n  use {there}, or package.module:Class") from None
    return kind


def _of_a_package(config: EngineConfig, domain: Domain, folder: Path) -> Engine:
    module_name, class_name = config.name.split(":", 1)
    try:
        factory = getattr(importlib.import_module(module_name), class_name)
        if not (inspect.isclass(factory) and callable(getattr(factory, "generate", None))):
            raise TypeError("it is not a class with a method generate")  # anything else is never called
        return cast(Any, factory)(config=config, domain=domain, folder=folder)
    except (ImportError, AttributeError, TypeError) as error:
        raise EngineFault(
            f"engine.name: cannot build '{config.name}': {error}\n"
            "  it must be importable and take config=, domain= and folder=; docs/how-to/own-engine.md shows one"
        ) from error
