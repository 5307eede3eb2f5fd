"""Check one version of one table: its files against their checksums, then every row."""

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import lance

from feature_store.checksums import (
    ZEROED,
    Sum,
    differs,
    ends_well,
    files_of,
    manifest_of,
    newest_of,
    take_sum,
    versions_of,
)
from feature_store.damage import is_damage, short

GONE = "this table is gone"


@dataclass(frozen=True)
class Fault:
    """A file of a table that is not what it was."""

    table: str
    """Name of the table; empty for a file beside the tables."""
    file: str
    """The file, relative to the store."""
    what: str
    """What is wrong with it."""


@dataclass
class Checker:
    """Checks versions of the tables of a store; what is checked once is not checked again."""

    folder: Path
    """Folder of the store."""
    known: Mapping[str, Sum]
    """File -> its checksum."""
    files: dict[str, str | None] = field(default_factory=dict)
    """Files looked at -> what is wrong with each; None if it is whole."""
    versions: dict[tuple[str, int], tuple[Fault, ...]] = field(default_factory=dict)
    """Versions looked at -> their faults."""

    def newest(self, table: str) -> tuple[Fault, ...]:
        """Return the faults of the newest version of a table."""
        there = versions_of(self.folder / f"{table}.lance")
        return self.version(table, newest_of(self.folder, table, self.known) if there else 0)

    def version(self, table: str, version: int) -> tuple[Fault, ...]:
        """Return the faults of a version of a table."""
        if (table, version) not in self.versions:
            self.versions[table, version] = self._version(table, version)
        return self.versions[table, version]

    def _version(self, table: str, version: int) -> tuple[Fault, ...]:
        path = self.folder / f"{table}.lance"
        if not versions_of(path):
            return (Fault(table, path.name, GONE),)
        files = self.opened(table, version)
        if isinstance(files, Fault):
            return (files,)
        return self._files(table, files) or self._rows(table, version, files)

    def opened(self, table: str, version: int) -> Mapping[str, int | None] | Fault:
        """Return the files of a version, or why its manifest cannot be opened."""
        path = self.folder / f"{table}.lance"
        manifest = f"{path.name}/_versions/{manifest_of(path, version).name}"
        for fault in self._files(table, {manifest: None}):
            return fault
        try:
            return files_of(lance.dataset(str(path), version=version))
        except BaseException as error:
            if not is_damage(error):
                raise
            return Fault(table, manifest, short(error))

    def file(self, path: str, size: int | None = None) -> str | None:
        """Return what is wrong with a file, relative to the store."""
        if path not in self.files:
            self.files[path] = self._file(path, size)
        return self.files[path]

    def _files(self, table: str, files: Mapping[str, int | None]) -> tuple[Fault, ...]:
        wrong = {path: self.file(path, size) for path, size in files.items()}
        return tuple(Fault(table, path, what) for path, what in wrong.items() if what is not None)

    def _file(self, path: str, size: int | None) -> str | None:
        file = self.folder / path
        if path in self.known:
            return differs(file, self.known[path], whole=True)
        if not file.is_file():
            return "it is missing"
        found = file.stat().st_size
        if found != size and size is not None:
            return f"it has {found:,} bytes instead of {size:,}"
        return None if ends_well(file) else ZEROED

    def _rows(self, table: str, version: int, files: Mapping[str, int | None]) -> tuple[Fault, ...]:
        """Read every row: here if the files are what they were, otherwise in a process that may die of it."""
        path = self.folder / f"{table}.lance"
        if all(file in self.known for file in files):
            try:
                read_rows(path, version)
            except BaseException as error:
                if not is_damage(error):
                    raise
                return (Fault(table, path.name, f"version {version} cannot be read: {short(error)}"),)
            return ()
        why = self.dies_of(table, version)
        return () if why is None else (Fault(table, path.name, f"version {version} cannot be read: {why}"),)

    def dies_of(self, table: str, version: int, fragment: int | None = None) -> str | None:
        """Read a version, or one fragment of it, in a process of its own; return why that failed, or None."""
        words = [str(self.folder / f"{table}.lance"), str(version), *([] if fragment is None else [str(fragment)])]
        command = [sys.executable, "-m", "feature_store.whole", *words]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if not done.returncode:
            return None
        return short(OSError(next(iter(done.stderr.strip().splitlines()[-1:]), "its reader was killed")))

    def sums(self, table: str, version: int) -> dict[str, Sum]:
        """Return the checksums of the files of a whole version as they are now."""
        files = files_of(lance.dataset(str(self.folder / f"{table}.lance"), version=version))
        return {path: self.known.get(path) or take_sum(self.folder / path) for path in files}


def read_rows(path: Path, version: int, fragment: int | None = None) -> int:
    """Read all columns of all rows of a version, or of one fragment; return the number of rows."""
    dataset = lance.dataset(str(path), version=version)
    chosen = [one for one in dataset.get_fragments() if fragment in (None, one.fragment_id)]
    return sum(len(batch) for batch in dataset.scanner(fragments=chosen, batch_size=4_096).to_batches())


if __name__ == "__main__":
    read_rows(Path(sys.argv[1]), *map(int, sys.argv[2:]))
