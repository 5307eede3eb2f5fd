"""Fingerprints of model folders: the revision of weights that carry none, so that answers are not mixed up."""

import hashlib
from pathlib import Path

SAMPLE = 1 << 20
"""Bytes read at the begin, in the middle and at the end of a large file: all of a 16 GB model takes a minute."""


def fingerprint(folder: Path) -> str:
    """Hash a folder of a model or an adapter.

    Small files (config, tokenizer, chat template) count whole. Of large ones count the size and three samples of a
    megabyte, which any training step changes; a hand that edits single numbers elsewhere should name a revision.

    Returns:
        16 hexadecimal digits.
    """
    digest = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file() and not p.name.startswith(".")):
        digest.update(f"{path.relative_to(folder).as_posix()}\0{path.stat().st_size}\0".encode())
        digest.update(_sample(path))
    return digest.hexdigest()[:16]


def _sample(path: Path) -> bytes:
    size = path.stat().st_size
    with path.open("rb") as file:
        if size <= 3 * SAMPLE:
            return file.read()
        parts = []
        for place in (0, size // 2, size - SAMPLE):
            file.seek(place)
            parts.append(file.read(SAMPLE))
        return b"".join(parts)
