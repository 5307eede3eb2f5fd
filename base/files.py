"""Write files so that a kill leaves the old one or the new one, and hash them."""

import hashlib
import os
from pathlib import Path


def write_whole(file: Path, text: str) -> None:
    """Write a file so that a kill leaves the old or the new one, never a part."""
    made = file.with_name(f".{file.name}.{os.getpid()}")
    made.write_text(text, encoding="utf-8")
    made.replace(file)


def sha256_of(file: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal digits."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
