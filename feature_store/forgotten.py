"""The users who were forgotten: their ids as keyed hashes, so that no later refresh asks about them again.

A user's events may lie in the input files for longer than in the store. `forgotten.json` in the store holds a random
key and, for each forgotten user, the HMAC-SHA256 of the id (RFC 2104): it recognises an id and does not give it away.
"""

import hashlib
import hmac
import json
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from base.files import write_whole
from feature_store.identity import StoreFault

FILE = "forgotten.json"
RECEIPTS = "receipts"
"""Folder of the home for receipts, and for a copy of the list: a store may be lost, or come back from a backup."""


@dataclass(frozen=True)
class Forgotten:
    """The forgotten users of a store."""

    key: bytes
    """Random key of the hashes."""
    users: Mapping[str, str]
    """Hash of an id -> when the user was forgotten, ISO 8601."""

    def digest(self, user: str) -> str:
        """Return the hash of an id.

        Example:
            >>> Forgotten(b"k", {}).digest("7")[:8]
            '9c737d16'
        """
        return hmac.new(self.key, user.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()

    def __bool__(self) -> bool:
        """Return whether anybody was forgotten."""
        return bool(self.users)

    def __contains__(self, user: object) -> bool:
        """Return whether a user was forgotten."""
        return bool(self.users) and isinstance(user, str) and self.digest(user) in self.users

    def adding(self, users: Iterable[str], when: str) -> "Forgotten":
        """Return the same with more users; of one who was forgotten before, the first time stays."""
        return replace(self, users={**{self.digest(user): when for user in users}, **self.users})

    def write(self, folder: Path) -> None:
        """Write this to a store."""
        write_whole(folder / FILE, json.dumps({"key": self.key.hex(), "users": dict(self.users)}, indent=1) + "\n")


def read_forgotten(folder: Path) -> Forgotten:
    """Read the forgotten users of a store; none, and a new key, for a store that has none.

    Raises:
        StoreFault: The file is damaged.
    """
    file = folder / FILE
    try:
        said = json.loads(file.read_text(encoding="utf-8"))
        return Forgotten(bytes.fromhex(said["key"]), {str(one): str(when) for one, when in said["users"].items()})
    except FileNotFoundError:
        return Forgotten(secrets.token_bytes(32), {})
    except (ValueError, KeyError, TypeError, AttributeError):
        raise StoreFault(
            f"{file} is damaged: without it, users who were forgotten would be asked about again\n"
            "  bring it back from a backup; or delete it, and forget these users again: knowflow forget"
        ) from None


def forgotten_in(store: Path, home: Path) -> Forgotten:
    """Read the forgotten users of a store and of the copy beside the receipts.

    Args:
        store: Folder of the store.
        home: The home folder.

    Raises:
        StoreFault: One of the two files is damaged.
    """
    own, copy = read_forgotten(store), read_forgotten(home / RECEIPTS)
    if own.key == copy.key:
        return replace(own, users={**copy.users, **own.users})
    return own or copy


def note_forgotten(store: Path, home: Path, users: Iterable[str], when: str) -> None:
    """Add users to the list in a store and to its copy."""
    known = forgotten_in(store, home).adding(users, when)
    known.write(store)
    (home / RECEIPTS).mkdir(exist_ok=True)
    known.write(home / RECEIPTS)
