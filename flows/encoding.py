"""Encoding in a process of its own, which gives a gigabyte back to training when it ends."""

import json
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from feature_store.database import command_line
from flows.children import run_child
from flows.config import Config
from sources.progress import Progress


def encode_apart(config: Config, names: Sequence[str], progress: Progress) -> list[dict[str, Any]]:
    """Encode the new texts of some techniques, one after the other.

    Args:
        config: The config.
        names: Names of the techniques.
        progress: Told how many texts are done.

    Returns:
        What each encoder did for each technique: the fields of `llm_tasks.pipeline.encode.Encoded`.

    Raises:
        ChildFault: There is nothing to fit an encoder on, or another process writes to the store.
        ChildFailed: The process failed.
    """
    log = config.home_folder / "encode.log"
    with TemporaryDirectory() as folder:
        result = Path(folder) / "made.json"
        arguments = [str(config.path), json.dumps(list(names)), str(result), command_line()]
        run_child("encoding", "flows.encode_process", arguments, log, progress)
        return json.loads(result.read_text(encoding="utf-8"))
