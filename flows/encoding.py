"""Encoding: where a model is loaded in a process of its own, which gives a gigabyte back to training when it ends."""

import json
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from feature_store.database import command_line
from flows.children import run_child
from flows.config import Config
from flows.workplace import chosen_tasks, encoders_of, open_store
from llm_tasks.pipeline.encode import encode_task
from sources.progress import Progress


def encode_texts(config: Config, name: str, progress: Progress) -> list[dict[str, Any]]:
    """Encode one technique's new texts: here when that takes little memory, else in a process of its own.

    Args:
        config: The config.
        name: Name of the technique.
        progress: Told how many texts are done.

    Returns:
        What each encoder did: the fields of `llm_tasks.pipeline.encode.Encoded`.

    Raises:
        NothingToFit: There is nothing to fit an encoder on.
        StoreBusy: Another process writes to the store.
        ChildFault: As the two above, told by the process.
        ChildFailed: The process failed.
    """
    encoders = encoders_of(config, name)
    if any(encoder.loads_a_model for encoder in encoders.values()):
        return _encode_apart(config, name, progress)
    if not encoders:
        return []
    (technique,) = chosen_tasks(config, [name])
    with open_store(config).writer(command_line()) as writer:
        return [asdict(made) for made in encode_task(technique, encoders, writer, progress, config.folder)]


def _encode_apart(config: Config, name: str, progress: Progress) -> list[dict[str, Any]]:
    log = config.home_folder / f"encode-{name}.log"
    with TemporaryDirectory() as folder:
        result = Path(folder) / "made.json"
        arguments = [str(config.path), name, str(result), command_line()]
        run_child(f"{name}: encoding", "flows.encode_process", arguments, log, progress)
        return json.loads(result.read_text(encoding="utf-8"))
