"""Encoding: a model is loaded in its own process, which frees a gigabyte for training when it ends."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from app.children import run_child
from app.config import Config
from app.encoding_speed import note_speeds
from app.workplace import encoders_of, one_task, open_store
from base.progress import Progress
from encoders.choose import kind_of
from feature_store.database import command_line
from llm_tasks.pipeline.encode import encode_task


def encode_texts(config: Config, names: Sequence[str], progress: Progress) -> list[dict[str, Any]]:
    """Encode the new texts of some techniques: here if it takes little memory, the others in one separate process.

    Args:
        config: The config.
        names: Names of the techniques.
        progress: Called with the number of encoded texts.

    Returns:
        What each encoder did for each technique: the fields of `llm_tasks.pipeline.encode.Encoded`.

    Raises:
        WrongUse: There is nothing to fit an encoder on.
        WrongUse: Another process writes to the store.
        WrongUse: One of the two above, in the process.
        CheckFailed: The process failed.
    """
    encoders = {name: encoders_of(config, name) for name in names}
    heavy = [
        name
        for name, of in encoders.items()
        if any(kind_of(encoder, config.plugin_folders).loads_a_model for encoder in of.values())
    ]
    light = [name for name, of in encoders.items() if of and name not in heavy]
    made = _encode_apart(config, heavy, progress) if heavy else []
    if light:
        with open_store(config).writer(command_line()) as writer:
            for technique in [one_task(config, name) for name in light]:
                done = encode_task(
                    technique, encoders[technique.name], writer, progress, config.folder, config.plugin_folders
                )
                made += [asdict(one) for one in done]
    note_speeds(config, made)
    return made


def _encode_apart(config: Config, names: Sequence[str], progress: Progress) -> list[dict[str, Any]]:
    log = config.home_folder / "encode.log"
    with TemporaryDirectory() as folder:
        result = Path(folder) / "made.json"
        arguments = [str(config.path), json.dumps(list(names)), str(result), command_line(), config.executor.name]
        run_child("encoding", "app.encode_process", arguments, log, progress)
        return json.loads(result.read_text(encoding="utf-8"))
