"""Encoding in a process of its own, which gives a gigabyte back to training when it ends."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from feature_store.database import command_line
from flows.children import run_child
from flows.config import Config
from sources.progress import Progress


def encode_apart(config: Config, name: str, progress: Progress) -> list[dict[str, Any]]:
    """Encode one technique's new texts.

    Args:
        config: The config.
        name: Name of the technique.
        progress: Told how many texts are done.

    Returns:
        What each encoder did: the fields of `llm_tasks.pipeline.encode.Encoded`.

    Raises:
        ChildFault: There is nothing to fit an encoder on, or another process writes to the store.
        ChildFailed: The process failed.
    """
    log = config.home_folder / f"encode-{name}.log"
    with TemporaryDirectory() as folder:
        result = Path(folder) / "made.json"
        arguments = [str(config.path), name, str(result), command_line()]
        run_child(f"{name}: encoding", "flows.encode_process", arguments, log, progress)
        return json.loads(result.read_text(encoding="utf-8"))
