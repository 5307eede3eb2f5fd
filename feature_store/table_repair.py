"""Repair one table: go back to the version that keeps most rows, without the files that are damaged."""

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import lance
import pyarrow as pa
from lance.file import LanceFileReader

from feature_store.answers import TABLE as ANSWERS_TABLE
from feature_store.checksums import read_sums, version_of, versions_of, write_sums
from feature_store.database import Writer
from feature_store.identity import read_identity
from feature_store.schemas import ANSWERS
from feature_store.whole import Checker, Fault

ASIDE = "damaged"
"""Folder of the store for what a repair takes away."""


@dataclass(frozen=True)
class TableRepair:
    """How one table is repaired."""

    table: str
    """Name of the table."""
    what: str
    """What is done, in a sentence."""
    run: Callable[[Writer], None]
    """Does it."""
    lost: int
    """Rows that are lost, as far as the table itself says."""
    kept: frozenset[str] = frozenset()
    """Keys of the answers that are kept; empty for other tables."""


@dataclass(frozen=True)
class Candidate:
    """A version to go back to."""

    version: int
    """The version."""
    rows: int
    """Rows of its files."""
    whole: tuple[int, ...]
    """Fragments whose files are whole."""
    damaged: tuple[int, ...]
    """The other fragments."""
    kept: int
    """Rows of the whole fragments."""
    indices: tuple[str, ...]
    """Indices with a damaged file."""


def plan_table(check: Checker, table: str) -> TableRepair | None:
    """Plan the repair of a table; None if its newest version is whole."""
    if not check.newest(table):
        return None
    there = versions_of(check.folder / f"{table}.lance")
    candidates = [one for version in there if (one := candidate(check, table, version)) is not None]
    if not candidates:
        return TableRepair(table, f"{table}: nothing of it can be read, it begins anew", _beginning(table), 0)
    best = max(candidates, key=lambda one: (one.kept, one.version))
    lost = max(one.rows for one in candidates) - best.kept
    extra, kept = (salvaged(check, best), answer_keys(check, best)) if table == ANSWERS_TABLE else (None, set())
    if extra is not None:
        kept |= set(extra["key"].to_pylist())
        lost = max(0, lost - len(extra))
    parts = [f"{table}: goes back to version {best.version}" if best.version != _newest(check, table) else table + ":"]
    many = len(best.damaged) > 1
    parts += [f"{len(best.damaged):,} damaged file{'s are' if many else ' is'} left out"] if best.damaged else []
    parts += [f"the index {name} is left out" for name in best.indices]
    parts += [f"{len(extra):,} rows are taken from files that no version names"] if extra else []
    what = f"{parts[0]} {', '.join(parts[1:])}".rstrip() + f"; {best.kept + len(extra or ()):,} rows are kept"
    return TableRepair(table, what, _restoring(table, best, extra), lost, frozenset(kept))


def candidate(check: Checker, table: str, version: int) -> Candidate | None:
    """Look at the fragments of a version; None if its manifest cannot be opened."""
    files = check.opened(table, version)
    if isinstance(files, Fault):
        return None
    dataset = lance.dataset(str(check.folder / f"{table}.lance"), version=version)
    unread = bool(check.version(table, version)) and not any(check.files[path] for path in files if path in check.files)
    whole: list[int] = []
    damaged: list[int] = []
    rows = kept = 0
    for fragment in dataset.get_fragments():
        meta = fragment.metadata
        count = meta.physical_rows - (meta.deletion_file.num_deleted_rows if meta.deletion_file else 0)
        names = [f"{table}.lance/data/{one.path}" for one in meta.files]
        deleted = fragment.deletion_file()
        names += [f"{table}.lance/_deletions/{Path(deleted).name}"] if deleted else []
        sound = not any(check.files[name] for name in names)
        sound = sound and not (unread and check.dies_of(table, version, fragment.fragment_id))
        (whole if sound else damaged).append(fragment.fragment_id)
        rows, kept = rows + count, kept + count * sound
    broken = {path.split("/")[2] for path, why in check.files.items() if why and path.startswith(f"{table}.lance/_i")}
    indices = [one.name for one in dataset.describe_indices() if broken & {str(part.uuid) for part in one.segments}]
    return Candidate(version, rows, tuple(whole), tuple(damaged), kept, tuple(indices))


def answer_keys(check: Checker, best: Candidate) -> set[str]:
    """Return the keys of the answers that a version keeps."""
    dataset = lance.dataset(str(check.folder / f"{ANSWERS_TABLE}.lance"), version=best.version)
    fragments = [dataset.get_fragment(number) for number in best.whole]
    scanned = dataset.scanner(columns=["key"], fragments=[one for one in fragments if one]) if fragments else None
    return set(scanned.to_table()["key"].to_pylist()) if scanned else set()


def salvaged(check: Checker, best: Candidate) -> pa.Table | None:
    """Return answers in whole files that the version does not name: their manifest is lost, and they were paid for."""
    files = check.opened(ANSWERS_TABLE, best.version)
    assert not isinstance(files, Fault)
    have, rows = answer_keys(check, best), []
    there = (check.folder / f"{ANSWERS_TABLE}.lance" / "data").glob("*.lance")
    for file in sorted(there, key=lambda one: one.stat().st_mtime_ns, reverse=True):
        name = file.relative_to(check.folder).as_posix()
        if name in files or name not in check.known or check.file(name):
            continue
        for row in LanceFileReader(str(file)).read_all().to_table().to_pylist():
            if row["key"] not in have:
                have.add(row["key"])
                rows.append({**dict.fromkeys(ANSWERS.names), **row})
    return pa.Table.from_pylist(rows, schema=ANSWERS) if rows else None


def set_aside(folder: Path, path: Path, *, keep: bool = False) -> None:
    """Move a file or a folder of the store away; with `keep`, copy it."""
    target = folder / ASIDE / f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}" / path.relative_to(folder)
    target.parent.mkdir(parents=True)
    if keep:
        shutil.copy2(path, target)
    elif path.exists():
        path.rename(target)


def _newest(check: Checker, table: str) -> int:
    return versions_of(check.folder / f"{table}.lance")[0]


def _beginning(table: str) -> Callable[[Writer], None]:
    def run(writer: Writer) -> None:
        store = writer.store
        set_aside(store.folder, store.path(table))
        identity = read_identity(store.folder)
        if identity is not None:
            identity.without_table(table).write(store.folder)
        forget_sums(store.folder)

    return run


def _restoring(table: str, best: Candidate, extra: pa.Table | None) -> Callable[[Writer], None]:
    def run(writer: Writer) -> None:
        folder, path = writer.store.folder, writer.store.path(table)
        for manifest in broken_manifests(path):
            set_aside(folder, manifest)
        for tag in _tags_without_a_version(path):
            set_aside(folder, tag)
        forget_sums(folder)
        if best.version != versions_of(path)[0]:
            lance.dataset(str(path), version=best.version).restore()
        if best.damaged:
            dataset = lance.dataset(str(path))
            without = lance.LanceOperation.Delete([], list(best.damaged), "damaged files")
            lance.LanceDataset.commit(dataset, without, read_version=dataset.version)
        for index in best.indices:
            lance.dataset(str(path)).drop_index(index)
        if extra is not None:
            writer.upsert(table, extra, ANSWERS)

    return run


def broken_manifests(path: Path) -> list[Path]:
    """Return the manifests of a table that cannot be opened."""
    check = Checker(path.parent, read_sums(path.parent) if path.is_dir() else {})
    opened = {version: check.opened(path.stem, version) for version in versions_of(path)}
    broken = {version for version, files in opened.items() if isinstance(files, Fault)}
    return [file for file in path.glob("_versions/*.manifest") if version_of(file) in broken]


def _tags_without_a_version(path: Path) -> Iterator[Path]:
    there = set(versions_of(path))
    for tag in path.glob("_refs/tags/*.json"):
        if json.loads(tag.read_text(encoding="utf-8"))["version"] not in there:
            yield tag


def forget_sums(folder: Path) -> None:
    """Forget the checksums of manifests that are gone, because their numbers are given again."""
    known = read_sums(folder)
    write_sums(
        folder, {path: one for path, one in known.items() if "/_versions/" not in path or (folder / path).is_file()}
    )
