"""The releases of a store: all of them, those that can be served, one by name."""

from base.faults import WrongUse
from feature_store.database import Store
from feature_store.identity import StoreFault
from feature_store.release_record import Release, read_row
from feature_store.schemas import RELEASES

TABLE = "releases"


class NoRelease(WrongUse):
    """The store holds no release, or none of that name; the text says what to run."""


def all_releases(store: Store) -> list[Release]:
    """Return all releases, also those that `knowflow repair` took out of service, oldest first."""
    return [read_row(row) for row in sorted(store.read(TABLE, RELEASES).to_pylist(), key=lambda row: row["name"])]


def list_releases(store: Store) -> list[Release]:
    """Return the releases that can be served, oldest first; the last one is current."""
    return [release for release in all_releases(store) if release.damaged is None]


def get_release(store: Store, name: str | None = None) -> Release:
    """Return a release by name, or the current one.

    Raises:
        NoRelease: There is none.
        StoreFault: It is damaged.
    """
    everything = all_releases(store)
    releases = [release for release in everything if release.damaged is None]
    damaged = next((one for one in everything if one.name == name and one.damaged is not None), None)
    if damaged is not None:
        raise StoreFault(
            f"{name} is damaged, and `knowflow repair` took it out of service: {damaged.damaged}\n"
            "  use another one: knowflow release list"
        )
    chosen = releases if name is None else [release for release in releases if release.name == name]
    if chosen:
        return chosen[-1]
    there = ", ".join(release.name for release in releases[-5:])
    if there:
        raise NoRelease(f"{store}: there is no release '{name}'; the newest are {there}\n  see: knowflow release list")
    what = "no release is left that is whole" if everything else "nothing has been released yet"
    raise NoRelease(f"{store}: {what}\n  make one: knowflow refresh")
