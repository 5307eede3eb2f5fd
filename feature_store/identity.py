"""The identity of a store: `store.json` holds its format, its id and its tables; a note beside the config holds the id.

With it a store, or a table of it, that has gone is an error. Without it, it would read as empty, and all would be asked
and paid for again.
"""

import json
import logging
import uuid
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from base.faults import WrongUse
from base.files import write_whole

logger = logging.getLogger(__name__)
FORMAT = 2
"""Format of the stores that this version writes; `feature_store.migrations` brings older ones up to it."""
FILE = "store.json"


class StoreFault(WrongUse):
    """A store, or a part of it, is gone, damaged or of another format; the text says what to do."""


class NewerStore(StoreFault):
    """The store was written by a newer version of KnowFlow."""


@dataclass(frozen=True)
class Identity:
    """What a store says of itself."""

    id: str
    """A random id."""
    format: int
    """Number of its format."""
    tables: tuple[str, ...]
    """Its tables."""
    created_at: str
    """When it was made, ISO 8601."""

    @classmethod
    def new(cls, tables: Iterable[str] = ()) -> "Identity":
        """Make the identity of a new store."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        return cls(uuid.uuid4().hex, FORMAT, tuple(sorted(tables)), now)

    def with_table(self, table: str) -> "Identity":
        """Return the identity of the same store with one more table."""
        return replace(self, tables=tuple(sorted({*self.tables, table})))

    def without_table(self, table: str) -> "Identity":
        """Return the identity of the same store without a table."""
        return replace(self, tables=tuple(name for name in self.tables if name != table))

    def write(self, folder: Path) -> None:
        """Write this to a store."""
        write_whole(folder / FILE, json.dumps(asdict(self), indent=1) + "\n")


def read_identity(folder: Path) -> Identity | None:
    """Read the identity of a store.

    Args:
        folder: Folder of the store.

    Returns:
        The identity; None if the folder holds none: there is no store, or it was made before stores had one.

    Raises:
        StoreFault: The file is damaged, or the store was written by a newer version.
    """
    file = folder / FILE
    try:
        return parse_identity(file.read_text(encoding="utf-8"), folder)
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise StoreFault(
            f"{file} is damaged: {error}\n  bring it back from a backup, or make it anew: knowflow repair"
        ) from None


def parse_identity(text: str, place: Path | str) -> Identity:
    """Read the identity of a store from its text.

    Args:
        text: JSON.
        place: Where the store is.

    Raises:
        ValueError, KeyError, TypeError: It is no identity.
        StoreFault: The store was written by a newer version.
    """
    said = json.loads(text)
    found = Identity(str(said["id"]), int(said["format"]), tuple(said["tables"]), str(said["created_at"]))
    if found.format > FORMAT:
        raise NewerStore(
            f"{place}: this store was written by a newer KnowFlow: its format is {found.format}, this version knows"
            f" {FORMAT}\n  install the newer version; nothing was changed"
        )
    return found


@dataclass(frozen=True)
class Note:
    """What a config remembers of its store: a small file beside knowflow.yaml."""

    file: Path
    """The note."""

    @classmethod
    def beside(cls, config: Path) -> "Note":
        """Return the note of a config."""
        return cls(config.with_name(f".{config.name}.store"))

    def check(self, place: Path | str, read: Callable[[], Identity | None] | None = None) -> None:
        """Check that the store that this config used is still there.

        Args:
            place: Folder or address of the store.
            read: Reads its identity; from the folder if not given.

        Raises:
            StoreFault: It is gone, or another one is in its place.
        """
        known = self.read()
        if known is None:
            return
        found = read() if read is not None else read_identity(Path(place))
        if found is not None and found.id == known["id"]:
            return
        what = "is gone" if found is None else f"is another one: its id is {found.id}"
        old = f" (it was at {known['folder']})" if known["folder"] != str(place) else ""
        setting = "store" if "://" in str(place) else "home"
        raise StoreFault(
            f"{place}: the store {known['id']} of this config {what}{old}\n"
            f"  bring it back, or set {setting}: in knowflow.yaml to where it is; to begin a new one, which asks and"
            " pays for everything again: knowflow refresh --new-store"
        )

    def write(self, place: Path | str, identity: Identity) -> None:
        """Note which store the config uses."""
        said = {"id": identity.id, "folder": str(place)}
        if self.read() == said:
            return
        try:
            write_whole(self.file, json.dumps(said) + "\n")
        except OSError as error:  # a config may be mounted read-only; the store itself can be written
            logger.warning("%s cannot be written (%s): a store that goes missing will not be noticed", self.file, error)

    def forget(self) -> None:
        """Forget the store, so that a new one may be begun."""
        self.file.unlink(missing_ok=True)

    def read(self) -> dict[str, str] | None:
        """Return the id and the folder of the store; None if the config has not had one.

        Raises:
            StoreFault: The note is damaged.
        """
        try:
            said = json.loads(self.file.read_text(encoding="utf-8"))
            return {"id": str(said["id"]), "folder": str(said["folder"])}
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError):
            raise StoreFault(f"{self.file} is damaged\n  delete it if the store is the right one") from None
