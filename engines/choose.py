"""Builds the engine that knowflow.yaml names."""

import importlib
from pathlib import Path

from engines.openai.options import SecretReader
from engines.protocol import Engine, EngineConfig, EngineFault
from engines.recorded import RecordedEngine
from engines.vllm.engine import VllmEngine
from prompts.domain import Domain

__all__ = ["EngineFault", "build_engine"]


def build_engine(config: EngineConfig, domain: Domain, folder: Path, secret: SecretReader | None = None) -> Engine:
    """Build an engine.

    Args:
        config: The `engine:` part of knowflow.yaml.
        domain: The words of the domain, for engines that render prompts.
        folder: What relative paths are relative to; the folder of knowflow.yaml.
        secret: Reads a stored secret by its name; None where there is no Prefect.

    Raises:
        EngineFault: No such engine, or its options are wrong.
    """
    if config.name == "recorded":
        return _recorded(config, domain, folder)
    if config.name == "openai":
        from engines.openai.engine import OpenAIEngine  # noqa: PLC0415  (its HTTP client takes a while to import)

        return OpenAIEngine(config, folder, secret)
    if config.name == "vllm":
        return VllmEngine(config, folder)
    if ":" not in config.name:
        raise EngineFault(
            f"engine.name: there is no engine '{config.name}'\n  use recorded, vllm, openai, or package.module:Class"
        )
    module_name, class_name = config.name.split(":", 1)
    try:
        factory = getattr(importlib.import_module(module_name), class_name)
        engine = factory(config=config, domain=domain, folder=folder)
    except (ImportError, AttributeError, TypeError) as error:
        raise EngineFault(
            f"engine.name: cannot build '{config.name}': {error}\n"
            "  it must be importable and take config=, domain= and folder=; docs/how-to/own-engine.md shows one"
        ) from error
    if engine.identity.seen_until != config.told_until:
        raise EngineFault(
            f"engine.seen_until: '{config.name}' does not pass it on, so that answers would not be dated by it\n"
            "  let its identity be ModelIdentity(..., seen_until=config.told_until)"
        )
    return engine


def _recorded(config: EngineConfig, domain: Domain, folder: Path) -> RecordedEngine:
    unknown = sorted(set(config.options) - {"files"})
    if unknown:
        raise EngineFault(
            f"engine.options: the recorded engine knows no {', '.join(unknown)}\n  it takes `files` alone"
        )
    files = {name: folder / file for name, file in config.options.get("files", {}).items()}
    missing = [f"{name}: {path}" for name, path in files.items() if not path.is_file()]
    if missing:
        raise EngineFault("engine.options.files: no such file\n  " + "\n  ".join(missing) + "\nmend the paths")
    return RecordedEngine(config.model, config.revision, files, domain, config.told_until)
