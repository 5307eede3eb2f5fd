"""Make the files of one place those of another: of a store in a folder and of one in a bucket, whichever comes first.

Files of a table never change once they are written, so a copy of all of them is the same table, with the same versions:
whatever a release pins reads as before. The order is such that a reader in between sees the old state or the
new one: files of rows, then the versions that name them, the releases, the checksums; what is not needed any more goes
last.
"""

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from base.faults import CheckFailed
from base.progress import Progress, silent
from feature_store.checksums import FILE as SUMS
from feature_store.control import NAME as CONTROL
from feature_store.forgotten import FILE as FORGOTTEN
from feature_store.objects import Objects
from feature_store.place import Held

BESIDE = (SUMS, FORGOTTEN)
"""Files beside the tables that belong to a store wherever it is."""
HINT = "latest_version_hint.json"
"""A file of Lance's on disks, which may be older than the table; it is found without."""
RELEASES = "releases.lance"
Result = TypeVar("Result")
AT_ONCE = 8
"""Files copied at the same time: each takes a few round trips."""


@dataclass(frozen=True)
class Made:
    """What was copied."""

    files: int
    """Files that are there now."""
    size: int
    """Their bytes."""
    copied: int
    """Files that were copied; the others were there before."""
    deleted: int
    """Files that were deleted."""
    sums: Mapping[str, str]
    """File -> its SHA-256."""


def belongs(name: str) -> bool:
    """Return whether a file belongs to a store wherever it is.

    Example:
        >>> belongs("answers.lance/data/1.lance"), belongs("writer.lock"), belongs("copying/a.lance/data/1")
        (True, False, False)
    """
    table = name.partition("/")[0]
    inside = table.endswith(".lance") and table != f"{CONTROL}.lance" and not name.endswith(f"/{HINT}")
    return inside or name in BESIDE


def files_in(objects: Objects) -> dict[str, int]:
    """Return the files of a store -> bytes."""
    return {name: size for name, size in sorted(objects.sizes().items()) if belongs(name)}


def turn(name: str) -> int:
    """Return when a file is written: after everything that it names.

    Example:
        >>> [turn(f"{one}.lance/{part}") for one in ("a", "releases") for part in ("data/1", "_versions/1")]
        [0, 1, 0, 3]
        >>> turn("checksums.json")
        4
    """
    if name == SUMS:
        return 4
    table, _, inside = name.partition("/")
    if inside.startswith("_versions/"):
        return 3 if table == RELEASES else 1
    return 2 if inside.startswith("_refs/") else 0


def make_same(
    source: Objects,
    target: Objects,
    held: Held,
    expected: Mapping[str, str] | None = None,
    there: Mapping[str, str] | None = None,
    report: Progress = silent,
) -> Made:
    """Make the files of a store in one place those of the store in another; after a kill, call it again.

    Args:
        source: Where the files are.
        target: Where they are to be.
        held: Raises CheckFailed if this process is no longer the only writer.
        expected: File -> SHA-256 that it must have in the source, as far as that is known.
        there: File -> SHA-256 that it has in the target, as far as that is known; others are read.
        report: Told of the files.

    Raises:
        CheckFailed: A file of the source is damaged, or one arrived with other bytes.
    """
    wanted, old = files_in(source), files_in(target)
    copy = partial(_copy, source, target, held, expected or {}, there or {}, old)
    sums: dict[str, str] = {}
    copied = 0
    for step in sorted({turn(name) for name in wanted}):
        names = [name for name in wanted if turn(name) == step]
        for name, (digest, new) in zip(names, _at_once(lambda name: copy(name, wanted[name]), names), strict=True):
            sums[name], copied = digest, copied + new
            report("files", len(sums), len(wanted))
    gone = [name for name in old if name not in wanted and name != FORGOTTEN]  # who was forgotten stays so
    for named in (False, True):  # whatever names a file goes before it
        list(_at_once(lambda name: _delete(target, held, name), [one for one in gone if (turn(one) == 0) is named]))
    return Made(len(wanted), sum(wanted.values()), copied, len(gone), sums)


def _at_once(call: Callable[[str], Result], names: Iterable[str]) -> Iterable[Result]:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield from pool.map(call, names)


def _delete(target: Objects, held: Held, name: str) -> None:
    held()
    target.delete(name)


def _copy(
    source: Objects,
    target: Objects,
    held: Held,
    expected: Mapping[str, str],
    there: Mapping[str, str],
    old: Mapping[str, int],
    name: str,
    size: int,
) -> tuple[str, bool]:
    """Copy a file unless the target has it; return its SHA-256 and whether it was copied."""
    held()
    if old.get(name) == size:
        digest = source.sha256(name)
        if (there.get(name) or target.sha256(name)) == digest:
            return _as_expected(source, expected, name, digest), False
    digest = _as_expected(source, expected, name, target.take(source, name))
    if target.sha256(name) != digest:
        raise CheckFailed(f"{target.address}/{name}: other bytes arrived than were sent\n  run the same command again")
    return digest, True


def _as_expected(source: Objects, expected: Mapping[str, str], name: str, digest: str) -> str:
    if expected.get(name, digest) != digest:
        raise CheckFailed(f"{source.address}/{name} is damaged: its bytes have changed\n  see: knowflow verify")
    return digest
