"""How long releases are kept, and how the disk space of the others comes back."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from pydantic import Field

from base.frozen import Frozen
from feature_store.database import Store, Writer
from feature_store.releases import TABLE, Release, all_releases, list_releases, write_copy

UNTAGGED = timedelta(days=1)
"""Versions of a table that belong to no release are kept this long: a process may be reading them."""


class KeepConfig(Frozen):
    """How long releases are kept: `keep:` in knowflow.yaml. The current release and those in use are always kept."""

    releases: int = Field(default=14, ge=1)
    """So many of the newest releases are kept, however old they are."""
    days: int = Field(default=30, ge=0)
    """Releases are kept for so many days, however many there are."""


@dataclass(frozen=True)
class Collected:
    """What a collection did."""

    dropped: tuple[str, ...]
    """Names of the releases that are gone."""
    kept: tuple[str, ...]
    """Names of the releases that are left."""
    bytes_before: int
    """Size of the store before it."""
    bytes_after: int
    """Size of the store after it."""
    files_before: int
    """Number of files before it."""
    files_after: int
    """Number of files after it."""


def to_drop(
    releases: Sequence[Release], keep: KeepConfig, now: datetime, in_use: Collection[str] = ()
) -> list[Release]:
    """Choose the releases to drop.

    Args:
        releases: All releases, oldest first.
        keep: How long they are kept.
        now: The present.
        in_use: Names of releases that something still reads, such as the newest training run.

    Returns:
        The releases to drop, oldest first: never the current one, nor the one that it points to.
    """
    if not releases:
        return []
    current = releases[-1]
    held = {current.name, current.rolled_back_to, *in_use} | {one.name for one in releases[-keep.releases :]}
    # A release that points to the tables of another one needs its versions.
    held |= {one.rolled_back_to for one in releases if one.name in held}
    youngest = now - timedelta(days=keep.days)
    return [one for one in releases if one.name not in held and one.created_at < youngest]


def collect(
    writer: Writer, keep: KeepConfig, now: datetime, in_use: Collection[str] = (), untagged: timedelta = UNTAGGED
) -> Collected:
    """Drop old releases, then join small files and delete the versions that no release pins any more.

    A kill in between leaves a store whose releases all read as before; the next collection goes on.

    Args:
        writer: The store's writer.
        keep: How long releases are kept.
        now: The present.
        in_use: Names of releases that something still reads.
        untagged: Versions that belong to no release are kept this long.
    """
    store = writer.store
    size, files = disk_use(store)
    dropped = to_drop(list_releases(store), keep, now, in_use)
    writer.delete(TABLE, "name", [one.name for one in dropped])  # before the tags, so that no release lacks a version
    there = {one.name for one in all_releases(store)}
    for table in store.tables():
        if table != TABLE:
            writer.untag(table, there)
        writer.compact_when_many(table)
        writer.forget_versions(table, untagged)
    write_copy(store)  # `knowflow repair` reads it: a dropped release must not come back
    size_now, files_now = disk_use(store)
    names = tuple(one.name for one in dropped)
    return Collected(names, tuple(sorted(there)), size, size_now, files, files_now)


def disk_use(store: Store) -> tuple[int, int]:
    """Return the bytes and the number of files of a store."""
    return store.place.use()
