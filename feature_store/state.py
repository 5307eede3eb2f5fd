"""The state of a store as a digest, read from its files without opening a table."""

import hashlib
from pathlib import Path

OWN = ("writer.lock", "writer.json")
"""What a writer leaves behind."""
TABLES = ".lance"


def state_of(folder: Path) -> str:
    """Return a digest of a store: the names and sizes of its tables' files, and all bytes of the files beside them.

    A table's files never change: what is written has a new name.

    Args:
        folder: Folder of the store, whether it exists or not.

    Returns:
        64 hexadecimal digits.

    Example:
        >>> state_of(Path("/nowhere"))[:8]
        'e3b0c442'
    """
    digest = hashlib.sha256()
    for path in sorted(one for one in folder.rglob("*") if one.is_file()):
        place = path.relative_to(folder)
        if place.name in OWN or any(part.startswith(".") for part in place.parts):
            continue
        digest.update(f"{place}\0{path.stat().st_size}\0".encode(errors="surrogateescape"))
        if not place.parts[0].endswith(TABLES):
            digest.update(path.read_bytes())
    return digest.hexdigest()
