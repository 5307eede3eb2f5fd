"""Copy a store from a folder to a bucket, or back: file by file, so that every release reads the same afterwards.

The copy says that it is a store only when all of it has been compared. Until then a bucket says that it is being copied
to, and a folder has everything in `copying`, from where it is moved into place at once. Killed in between, the same
command goes on: files that have arrived whole are not sent again.
"""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from base.faults import CheckFailed, WrongUse
from base.progress import Progress, silent
from feature_store.answers import answer_log
from feature_store.bucket import COPYING, KEY, Bucket
from feature_store.checksums import Sum, note_sums, read_sums, write_sums
from feature_store.damage import reading
from feature_store.database import Store
from feature_store.disk import reason_of
from feature_store.forgotten import FILE as FORGOTTEN
from feature_store.identity import Identity, parse_identity
from feature_store.lock import only_writer
from feature_store.object_sums import read_object_sums
from feature_store.objects import Objects
from feature_store.place import Held
from feature_store.releases import TABLE as RELEASES_TABLE
from feature_store.releases import all_releases, write_copy
from feature_store.same_files import make_same
from feature_store.swap import replace_staged, staged_folder
from feature_store.work_copy import drop_left
from feature_store.writer import Writer

STAGED = "copying"
"""Folder of the store for a copy that has not arrived yet."""


@dataclass(frozen=True)
class Copied:
    """What was copied, and compared afterwards."""

    tables: int
    """Tables."""
    versions: int
    """Versions of tables whose rows were counted on both sides."""
    releases: tuple[str, ...]
    """Releases."""
    files: int
    """Files, all of them with the same SHA-256 on both sides."""
    size: int
    """Their bytes."""
    sent: int
    """Files that this run has sent; the others had arrived before."""


def copy_store(writer: Writer, target: Store, purpose: str, report: Progress = silent) -> Copied:
    """Copy a store; the copy has the same id.

    Args:
        writer: The writer of the store that is copied; it stays as it is.
        target: Where the copy is to be.
        purpose: Shown to others that want to write there.
        report: Told of the files.

    Raises:
        WrongUse: There is a store already, or another process writes there.
        CheckFailed: The copy is not the same.
        StoreFault: A bucket cannot be reached, or a table is damaged.
    """
    store = writer.store
    with answer_log(writer):
        pass  # opening it moves the answers of the journal to the table
    identity = store.place.identity()
    assert identity is not None  # a writer gives one
    with _telling(store, target), _receiving(store, target, identity, purpose) as (staged, held):
        made = make_same(
            Objects.at(str(store), store.place.options),
            Objects.at(str(staged), staged.place.options),
            _both(writer.check_held, held),
            {path: one.sha256 for path, one in _known(store).items()},
            report=report,
        )
        told = content(store, identity)
        wrong = differences(told, content(staged, identity))
        if wrong:
            raise CheckFailed(f"{staged}: the copy is not the same\n" + "\n".join(f"  {one}" for one in wrong))
    releases = tuple(one.name for one in all_releases(store))
    versions = sum(isinstance(one, tuple) for one in told)
    return Copied(len(identity.tables), versions, releases, made.files, made.size, made.copied)


@contextmanager
def _telling(store: Store, target: Store) -> Iterator[None]:
    """Say that it is the copy that a disk has rejected; whoever writes to the store would say that of the store."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        if (reason := reason_of(error)) is None:
            raise
        raise CheckFailed(
            f"{target}: {store} cannot be copied to here: {reason}\n  what has arrived is kept;"
            " free space or fix the disk, then run the same command again to continue"
        ) from error


def _known(store: Store) -> Mapping[str, Sum]:
    """Return the checksums that a store keeps."""
    return read_sums(store.folder) if store.bucket is None else read_object_sums(store.bucket.objects)


def _both(one: Held, other: Held) -> Held:
    def check() -> None:
        one()
        other()

    return check


@contextmanager
def _receiving(store: Store, target: Store, identity: Identity, purpose: str) -> Iterator[tuple[Store, Held]]:
    """Hold the lock of the target, and give the store that takes the files; left well, it becomes the target."""
    if target.bucket is not None:
        with target.bucket.leasing(purpose) as held:
            _begin(target.bucket, identity)
            yield target, held
            held()
            target.bucket.identify(identity)
            target.bucket.control.change(COPYING, identity.id, "")
        return
    same = target.folder == store.folder  # of a bucket: its writer holds the lock of this folder, too
    with nullcontext() if same else only_writer(target.folder, purpose):
        drop_left(target.folder)
        found = target.place.identity()
        if found is not None and found.id == identity.id:
            shutil.rmtree(target.folder / STAGED, ignore_errors=True)  # empty, if that run was killed at its end
            raise _there_already(str(target), f"home: {target.folder.parent}", "move this one away first")
        if found is not None or target.on_disk():
            raise WrongUse(f"{target}: there is a store already\n  move it away first, or name another place")
        staged = Store(target.folder / STAGED)
        staged.folder.mkdir(exist_ok=True)
        (staged.folder / FORGOTTEN).unlink(missing_ok=True)  # may be of another store, whose copy was not finished
        yield staged, lambda: None
        _put_in_place(staged, identity)


def _begin(bucket: Bucket, identity: Identity) -> None:
    """Say in a bucket that a store is being copied to it, unless it is."""
    texts = bucket.control.read()
    if texts.get(COPYING) == identity.id:
        return
    if texts.get(COPYING):
        raise WrongUse(
            f"{bucket.address}: a copy of another store, {texts[COPYING]}, was begun here\n"
            "  finish that one, or name another prefix"
        )
    if KEY in texts:
        if parse_identity(texts[KEY], bucket.address).id == identity.id:
            raise _there_already(bucket.address, f"store.url: {bucket.address}", "delete this prefix first")
        raise WrongUse(f"{bucket.address}: there is a store already\n  name another prefix")
    bucket.tables()  # refuses tables of something else
    bucket.control.change(COPYING, texts.get(COPYING), identity.id)


def _there_already(place: str, setting: str, first: str) -> WrongUse:
    """Say that a copy is there: of an earlier run, killed at its very end or not, or what this one was copied from."""
    return WrongUse(
        f"{place}: there is a copy of this store already, which may be older\n"
        f"  to use that one, set {setting}; to copy anew, {first}, or name another place"
    )


def _put_in_place(staged: Store, identity: Identity) -> None:
    """Complete a copy in a folder, and move all of it to where it belongs."""
    identity.write(staged.folder)
    _restamp(staged.folder)
    for release in all_releases(staged):
        if release.damaged is None:
            note_sums(staged.folder, release.versions)
    note_sums(staged.folder, {table: staged.version(table) for table in staged.tables()})
    if staged.has(RELEASES_TABLE):
        write_copy(staged)
    folder = staged.folder.parent
    new = staged_folder(folder)
    for part in [*staged.folder.iterdir()]:
        part.rename(new / part.name)
    replace_staged(folder)
    shutil.rmtree(staged.folder)


def _restamp(folder: Path) -> None:
    """Give the checksums, which have just been compared, the times of these files: others are hashed by every read."""
    there = {path: one for path, one in read_sums(folder).items() if (folder / path).is_file()}
    write_sums(folder, {path: replace(one, written=(folder / path).stat().st_mtime_ns) for path, one in there.items()})


def content(store: Store, identity: Identity) -> dict[Any, Any]:
    """Return what a store holds, as far as a copy can be compared by it: releases, tags, rows of every version held."""
    found: dict[Any, Any] = {}
    if RELEASES_TABLE in identity.tables:
        with reading(store.uri(RELEASES_TABLE)):
            rows = store.dataset(RELEASES_TABLE).to_table().to_pylist()
        found |= {f"release {row['name']}": row for row in rows}
    for table in identity.tables:
        with reading(store.uri(table)):
            newest = store.dataset(table)
            tags = {name: tag["version"] for name, tag in newest.tags.list().items()}
            found[f"tags of {table}"] = tags
            for version in sorted({*tags.values(), newest.version}):
                found[table, version] = store.dataset(table, version).count_rows()
    return found


def differences(one: dict[Any, Any], other: dict[Any, Any]) -> list[str]:
    """Say what two stores do not have in common."""
    names = [name for name in {**one, **other} if one.get(name) != other.get(name)]
    return [
        f"{name}: differs" if isinstance(name, str) else f"{name[0]}, version {name[1]}: the number of rows differs"
        for name in names
    ]
