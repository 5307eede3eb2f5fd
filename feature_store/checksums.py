"""Checksums of the files of tables. LanceDB has none: it serves a vector with flipped bits without a word.

Files of a table never change once they are written. `checksums.json` in the store holds one SHA-256 a file, taken when
a release is published: a night hashes only the files that are new. Of each table, a release records a digest of the
names and checksums of its files.
"""

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

import lance

from base.files import sha256_of, write_whole
from feature_store.identity import StoreFault

FILE = "checksums.json"
ZEROED = "its end is zeros"
LAST = 2**64 - 1
"""The number from which LanceDB counts down in the names of manifests."""


@dataclass(frozen=True)
class Sum:
    """What one file held when its release was published."""

    size: int
    """Bytes."""
    written: int
    """When the file was written, in nanoseconds: an unchanged file needs no second look."""
    sha256: str
    """Checksum of its content."""


def manifest_of(table: Path, version: int) -> Path:
    """Return the manifest of a version, whether it is there or not."""
    old = table / "_versions" / f"{version}.manifest"
    return old if old.is_file() else table / "_versions" / f"{LAST - version}.manifest"


def version_of(manifest: Path) -> int:
    """Return the version that a manifest is of.

    Example:
        >>> version_of(Path("18446744073709551613.manifest")), version_of(Path("7.manifest"))
        (2, 7)
    """
    number = int(manifest.stem)
    return LAST - number if number > LAST // 2 else number


def versions_of(table: Path) -> list[int]:
    """Return the versions of a table by the names of its manifests, newest first."""
    return sorted(map(version_of, table.glob("_versions/*.manifest")), reverse=True)


def newest_of(folder: Path, table: str, known: Mapping[str, Sum]) -> int:
    """Return the newest version that a table has, or that it must have by the checksums."""
    start = f"{table}.lance/_versions/"
    noted = (version_of(Path(path)) for path in known if path.startswith(start))
    return max([*versions_of(folder / f"{table}.lance")[:1], *noted], default=0)


def ends_well(file: Path) -> bool:
    """Return whether the last bytes of a file, which LanceDB fills, are not zero."""
    with file.open("rb") as opened:
        opened.seek(max(0, file.stat().st_size - 16))
        return any(opened.read())


def check_manifest(folder: Path, table: str, version: int | None) -> None:
    """Check a manifest before LanceDB opens it: one filled with zeros may read as an empty table.

    Args:
        folder: Folder of the store.
        table: Name of the table.
        version: Version; the newest if not given.

    Raises:
        StoreFault: It is damaged, or it is missing.
    """
    newest = newest_of(folder, table, read_sums(folder)) if version is None else version
    manifest = manifest_of(folder / f"{table}.lance", newest)
    check_files(folder, [manifest.relative_to(folder).as_posix()], whole=True)
    if not manifest.is_file() or not ends_well(manifest):
        what = ZEROED if manifest.is_file() else "it is missing"
        raise StoreFault(f"{manifest} is damaged: {what}\n  what that costs, and what to do: knowflow verify")


def files_of(dataset: lance.LanceDataset, objects: Collection[str] | None = None) -> dict[str, int | None]:
    """Return the files of one version of a table, relative to the store -> size, if the manifest says it.

    Args:
        dataset: The version.
        objects: All files of the store, if it is in a bucket.
    """
    table = Path(dataset.uri)
    files: dict[str, int | None] = {f"{table.name}/_versions/{_manifest(table, dataset.version, objects)}": None}
    for fragment in dataset.get_fragments():
        files |= {f"{table.name}/data/{one.path}": one.file_size_bytes for one in fragment.metadata.files}
        deleted = fragment.deletion_file()
        if deleted is not None:
            files[f"{table.name}/_deletions/{Path(deleted).name}"] = None
    for index in dataset.describe_indices():
        for segment in index.segments:
            start = f"{table.name}/_indices/{segment.uuid}/"
            if objects is None:
                files |= {f"{start}{one.name}": None for one in sorted((table.parent / start).glob("*"))}
            else:
                files |= dict.fromkeys(sorted(one for one in objects if one.startswith(start)))
    return files


def _manifest(table: Path, version: int, objects: Collection[str] | None) -> str:
    if objects is None:
        return manifest_of(table, version).name
    old = f"{version}.manifest"
    return old if f"{table.name}/_versions/{old}" in objects else f"{LAST - version}.manifest"


def read_sums(folder: Path) -> Mapping[str, Sum]:
    """Return file -> checksum of a store; empty for a store that has none yet.

    Raises:
        StoreFault: The list itself is damaged.
    """
    file = folder / FILE
    try:
        return _read(file, file.stat().st_mtime_ns)
    except FileNotFoundError:
        return {}
    except (ValueError, TypeError, AttributeError):
        raise StoreFault(f"{file} is damaged\n  make it anew: knowflow repair") from None


@lru_cache(maxsize=4)
def _read(file: Path, written: int) -> Mapping[str, Sum]:
    return parse_sums(file.read_bytes())


def parse_sums(text: bytes) -> Mapping[str, Sum]:
    """Read file -> checksum from its text; raises ValueError, TypeError or AttributeError if it is none."""
    return {path: Sum(**said) for path, said in json.loads(text).items()}


def write_sums(folder: Path, sums: Mapping[str, Sum]) -> None:
    """Write the checksums of a store."""
    write_whole(folder / FILE, sums_text(sums))


def sums_text(sums: Mapping[str, Sum]) -> str:
    """Return checksums as text."""
    lines = (f"{json.dumps(path)}: {json.dumps(asdict(sums[path]))}" for path in sorted(sums))
    return "{\n" + ",\n".join(lines) + "\n}\n"


def note_sums(folder: Path, versions: Mapping[str, int]) -> dict[str, str]:
    """Take the checksums of tables and keep them; a file whose checksum is known is not read again.

    Args:
        folder: Folder of the store.
        versions: Table -> version.

    Returns:
        Table -> digest of its files.
    """
    old = read_sums(folder)
    kept = {path: one for path, one in old.items() if (folder / path).is_file()}
    digests: dict[str, str] = {}
    for table, version in versions.items():
        files = files_of(lance.dataset(str(folder / f"{table}.lance"), version=version))
        for path in files:
            size = (folder / path).stat().st_size
            if path not in kept or kept[path].size != size:
                kept[path] = take_sum(folder / path)
        digests[table] = digest_of({path: kept[path] for path in files})
    write_sums(folder, kept)
    return digests


def take_sum(file: Path) -> Sum:
    """Return the checksum of a file as it is now."""
    digest, stat = sha256_of(file), file.stat()
    return Sum(stat.st_size, stat.st_mtime_ns, digest)


def digest_of(sums: Mapping[str, Sum]) -> str:
    """Return one digest for many files."""
    lines = (f"{path} {sums[path].size} {sums[path].sha256}\n" for path in sorted(sums))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def check_files(folder: Path, files: Iterable[str], *, whole: bool) -> None:
    """Check files before LanceDB reads them: damaged ones can be served silently, or end the process.

    Args:
        folder: Folder of the store.
        files: Relative to it; those without a checksum are passed over.
        whole: Whether to hash every file, once a process; otherwise only those that were written since.

    Raises:
        StoreFault: A file is not what it was.
    """
    known = read_sums(folder)
    for path in files:
        if path not in known:
            continue
        what = differs(folder / path, known[path], whole=whole)
        if what:
            raise StoreFault(f"{folder / path} is damaged: {what}\n  what that costs, and what to do: knowflow verify")


def differs(file: Path, known: Sum, *, whole: bool) -> str | None:
    """Say how a file differs from what it was; None if it does not."""
    try:
        stat = file.stat()
    except FileNotFoundError:
        return "it is missing"
    if stat.st_size != known.size:
        return f"it has {stat.st_size:,} bytes instead of {known.size:,}"
    if not whole and stat.st_mtime_ns == known.written:
        return None
    return None if _hashed(file, stat.st_size, stat.st_mtime_ns) == known.sha256 else "its bytes have changed"


@lru_cache(maxsize=100_000)
def _hashed(file: Path, size: int, written: int) -> str:
    return take_sum(file).sha256
