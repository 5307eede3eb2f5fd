"""Files of a store on this machine: those of a folder themselves, or a copy of a bucket's that is sent back.

`verify`, `repair` and `forget` work on files. Of a store in a bucket they get a copy of all objects beside the journal,
which makes that folder a store like any other while they work; then what has changed is sent to the bucket, and the
copy is deleted. After a kill the bucket is as it was, or has some of what was sent, which harms nobody: new files have
names of their own. The same command takes a new copy.
"""

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from base.faults import CheckFailed, WrongUse
from base.files import write_whole
from base.progress import Progress, silent
from feature_store.bucket import Bucket
from feature_store.checksums import FILE as SUMS
from feature_store.database import Store
from feature_store.identity import FILE as IDENTITY
from feature_store.identity import StoreFault, read_identity
from feature_store.objects import Objects
from feature_store.same_files import files_in, make_same
from feature_store.writer import Writer

MARK = "copy-of-bucket.json"
"""In the folder of the store while it holds a copy of a bucket's objects."""


@dataclass(frozen=True)
class WorkCopy:
    """Files of a store."""

    writer: Writer
    """Writes to the files."""
    send: Callable[[], None]
    """Brings the bucket to what the files are; does nothing for a folder."""

    @property
    def store(self) -> Store:
        """Return the store that the files are."""
        return self.writer.store


@contextmanager
def on_this_machine(writer: Writer, report: Progress = silent) -> Iterator[WorkCopy]:
    """Give the files of a store to work on.

    Args:
        writer: The store's writer.
        report: Told of the files that are copied.

    Raises:
        WrongUse: The folder has files of another store.
        StoreFault: The bucket cannot be reached.
    """
    store = writer.store
    if store.bucket is None:
        yield WorkCopy(writer, lambda: None)
        return
    bucket, folder = store.bucket, store.folder
    check_no_other_store(folder)
    write_whole(folder / MARK, f"{bucket.address}\n")
    try:
        _drop(folder)
        here, there = Objects.at(str(folder)), bucket.objects
        got = make_same(there, here, writer.check_held, report=report)
        if (identity := bucket.identity()) is not None:
            identity.write(folder)
        yield WorkCopy(
            Writer(Store(folder, store.note), writer.check_held),
            lambda: _send(writer, bucket, here, there, got.sums, report),
        )
    finally:
        _drop(folder)
        (folder / MARK).unlink(missing_ok=True)


@contextmanager
def to_look_at(store: Store, purpose: str, report: Progress = silent) -> Iterator[Store]:
    """Give the files of a store to look at; a copy is taken under the lock of the bucket, so that it is of one moment.

    Args:
        store: The store.
        purpose: Shown to others that want to write meanwhile.
        report: Told of the files that are copied.

    Raises:
        WrongUse: Another process is writing to the bucket, or the folder has files of another store.
        StoreFault: There is no store in the bucket, or it cannot be reached.
    """
    if store.bucket is None:
        yield store
        return
    check_there(store)
    with store.writer(purpose, migrating=True) as writer, on_this_machine(writer, report) as copy:
        yield copy.store


def check_there(store: Store) -> None:
    """Check that there is a store, before a lock creates something.

    Raises:
        StoreFault: There is none.
    """
    if store.place.identity() is None and not store.on_disk():
        if store.note is not None:
            store.note.check(str(store), store.place.identity)
        raise StoreFault(f"{store}: there is no store\n  make one: knowflow refresh")


def drop_left(folder: Path) -> None:
    """Delete the copy that a killed command left in a folder, if there is one; the caller holds the folder's lock."""
    if (folder / MARK).is_file():
        _drop(folder)
        (folder / MARK).unlink()


def check_not_left(folder: Path) -> None:
    """Refuse a folder as a store if a killed command left a copy of a bucket's there.

    Raises:
        StoreFault: It did.
    """
    if (folder / MARK).is_file():
        address = (folder / MARK).read_text(encoding="utf-8").strip()
        raise StoreFault(
            f"{folder}: a command that was killed left a copy of the store in {address} here\n"
            f"  set store.url in knowflow.yaml to {address}, and run: knowflow verify, which deletes it"
        )


def check_no_other_store(folder: Path) -> None:
    """Refuse a folder that has files of a store and no mark: they would be overwritten.

    Raises:
        WrongUse: It has.
    """
    left = sorted(path for path in folder.glob("*.lance"))
    if left and not (folder / MARK).is_file():
        raise WrongUse(
            f"{folder}: here is a store, too, with {', '.join(path.name for path in left[:3])}; it was there before the"
            " one in the bucket, and may hold what nobody should have any more\n"
            f"  delete its tables: {left[0]} and so on, and {folder / IDENTITY}; then run the same command again"
        )


def _send(
    writer: Writer, bucket: Bucket, here: Objects, there: Objects, had: Mapping[str, str], report: Progress
) -> None:
    make_same(here, there, writer.check_held, there=had, report=report)
    if files_in(here) != files_in(there):
        raise CheckFailed(f"{there.address}: something else writes here\n  stop it, then run the same command again")
    identity = read_identity(Path(here.address))
    if identity is not None and identity != bucket.identity():
        bucket.identify(identity)


def _drop(folder: Path) -> None:
    """Delete the copy; what was there without it stays."""
    for path in [*folder.glob("*.lance"), folder / IDENTITY, folder / SUMS]:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
