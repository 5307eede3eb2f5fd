"""Where the tables of a store are: the interface, and a folder on a disk. `feature_store.bucket` is the other one."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import lance

from feature_store.checksums import check_files, check_manifest, files_of, note_sums, versions_of
from feature_store.damage import reading
from feature_store.identity import Identity, read_identity
from feature_store.lock import only_writer

Held = Callable[[], None]
"""Raises CheckFailed if this process is no longer the only writer."""


class Place(Protocol):
    """Where the tables of a store are."""

    @property
    def address(self) -> str:
        """Return the address that LanceDB opens, and that messages show."""
        ...

    @property
    def options(self) -> dict[str, str] | None:
        """Return LanceDB's storage options; None for a disk."""
        ...

    def has(self, table: str) -> bool:
        """Return whether a table is there."""
        ...

    def tables(self) -> list[str]:
        """Return the names of the tables that are there, sorted."""
        ...

    def identity(self) -> Identity | None:
        """Return what the store says of itself; None if there is no store."""
        ...

    def identify(self, identity: Identity) -> None:
        """Write what the store says of itself; the caller is the writer."""
        ...

    def writing(self, purpose: str) -> AbstractContextManager[Held]:
        """Hold the lock of the store, which names the purpose; raises WrongUse if another process holds it."""
        ...

    def check_manifest(self, table: str, version: int | None) -> None:
        """Check the manifest of a table before LanceDB opens it; raises StoreFault."""
        ...

    def check_files(self, dataset: lance.LanceDataset, *, whole: bool) -> None:
        """Check the files of a version before they are read, all their bytes if `whole`; raises StoreFault."""
        ...

    def note_sums(self, versions: Mapping[str, int]) -> dict[str, str]:
        """Keep checksums of versions of tables; return a digest for each table, none where the place keeps its own."""
        ...

    def use(self) -> tuple[int, int]:
        """Return the bytes and the number of files of the store."""
        ...


@dataclass(frozen=True)
class Folder:
    """A folder on a disk: a file lock, and checksums of all files, because a disk has none."""

    folder: Path
    """The folder."""
    options: None = None
    """None: a disk has no options."""

    @property
    def address(self) -> str:
        """Return the path."""
        return str(self.folder)

    def has(self, table: str) -> bool:
        """Return whether a table has a version."""
        return bool(versions_of(self.folder / f"{table}.lance"))

    def tables(self) -> list[str]:
        """Return the tables that have a version."""
        return sorted(path.stem for path in self.folder.glob("*.lance") if self.has(path.stem))

    def identity(self) -> Identity | None:
        """Read `store.json`."""
        return read_identity(self.folder)

    def identify(self, identity: Identity) -> None:
        """Write `store.json`."""
        identity.write(self.folder)

    @contextmanager
    def writing(self, purpose: str) -> Iterator[Held]:
        """Hold the file lock, which ends with the process."""
        with only_writer(self.folder, purpose):
            yield lambda: None

    def check_manifest(self, table: str, version: int | None) -> None:
        """Compare a manifest with its checksum."""
        check_manifest(self.folder, table, version)

    def check_files(self, dataset: lance.LanceDataset, *, whole: bool) -> None:
        """Compare the files of a version with their checksums."""
        with reading(dataset.uri):
            files = files_of(dataset)
        check_files(self.folder, files, whole=whole)

    def note_sums(self, versions: Mapping[str, int]) -> dict[str, str]:
        """Take the checksums of new files."""
        with reading(self.folder):
            return note_sums(self.folder, versions)

    def use(self) -> tuple[int, int]:
        """Add up all files."""
        sizes = [path.stat().st_size for path in self.folder.rglob("*") if path.is_file()]
        return sum(sizes), len(sizes)
