"""Checksums of the files of a store in a bucket, in the same form as those of a folder (`feature_store.checksums`)."""

from collections.abc import Callable, Mapping

import lance

from feature_store.checksums import FILE, Sum, digest_of, files_of, parse_sums, sums_text
from feature_store.objects import Objects


def note_object_sums(
    objects: Objects, versions: Mapping[str, int], dataset: Callable[[str, int], lance.LanceDataset]
) -> dict[str, str]:
    """Take the checksums of tables and keep them; an object whose checksum is known is not read again.

    Args:
        objects: The objects of the store.
        versions: Table -> version.
        dataset: Opens a version of a table.

    Returns:
        Table -> digest of its files.
    """
    there = objects.sizes()
    kept = {path: one for path, one in read_object_sums(objects).items() if there.get(path) == one.size}
    digests: dict[str, str] = {}
    for table, version in versions.items():
        files = files_of(dataset(table, version), there)
        for path in files:
            if path not in kept:
                kept[path] = Sum(there[path], 0, objects.sha256(path))
        digests[table] = digest_of({path: kept[path] for path in files})
    objects.write(FILE, sums_text(kept).encode())
    return digests


def read_object_sums(objects: Objects) -> Mapping[str, Sum]:
    """Return file -> checksum; empty where there is none, or none that can be read, so that it is taken anew."""
    try:
        return parse_sums(objects.read(FILE) or b"{}")
    except (ValueError, TypeError, AttributeError):
        return {}
