"""Bring a store of an older format up to date, by the command `knowflow migrate`."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from feature_store.database import Store, Writer
from feature_store.identity import Identity


@dataclass(frozen=True)
class Migration:
    """A step from one format to the next."""

    to: int
    """Format of a store after it."""
    what: str
    """What it does, in a sentence."""
    run: Callable[[Store, Writer], None]
    """Does it; running it twice does no harm."""


def _identify(store: Store, writer: Writer) -> None:
    """Give a store an identity."""
    store.place.identify(Identity.new(store.on_disk()))


MIGRATIONS = (
    Migration(1, "gives the store an id and a list of its tables, so that one that goes missing is noticed", _identify),
)
"""All steps, oldest first. Each has a store of the format before it among the tests (tests/feature_store/stores/)."""


def pending(store: Store) -> list[Migration]:
    """Return the steps that a store lacks; none for a folder without a store.

    Raises:
        StoreFault: The store was written by a newer version.
    """
    identity = store.place.identity()
    if identity is None and not store.on_disk():
        return []
    at = identity.format if identity else 0
    return [step for step in MIGRATIONS if step.to > at]


def migrate(store: Store, purpose: str) -> list[Migration]:
    """Run the steps that a store lacks; return them.

    Raises:
        WrongUse: Another process is writing.
    """
    steps = pending(store)
    if not steps:
        return []
    with store.writer(purpose, migrating=True) as writer:
        for step in steps:
            step.run(store, writer)
            identity = store.place.identity()
            assert identity is not None  # the first step gives one
            store.place.identify(replace(identity, format=step.to))
    return steps
