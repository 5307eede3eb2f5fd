"""Bring a store of an older format up to date, by the command `knowflow migrate`."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import polars as pl
import pyarrow as pa

from feature_store.damage import reading
from feature_store.database import Store, Writer
from feature_store.identity import Identity
from feature_store.lineage import VectorName, read_lineage
from feature_store.schemas import vectors_schema
from feature_store.vectors import SHARED, vectors_table

ROWS_AT_ONCE = 65_536


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
    if store.place.identity() is None:
        store.place.identify(replace(Identity.new(store.on_disk()), format=1))


def _part(store: Store, writer: Writer) -> None:
    """Copy the vectors of each technique's texts to a table of its own.

    The shared tables become empty, and are kept: older releases hold older versions of them, which stay as they are.
    """
    texts = read_lineage(store, columns=["task", "text_key"]).drop_nulls().unique()
    for table in store.tables():
        if (shared := SHARED.fullmatch(table)) is None:
            continue
        dimension = int(shared["dimension"])
        with reading(store.uri(table)):
            batches = store.open(table).to_batches(batch_size=ROWS_AT_ONCE)
        for batch in batches:
            keys = pl.DataFrame({"text_key": pl.Series(batch["text_key"].to_pylist(), dtype=pl.String)})
            places = keys.with_row_index("place").join(texts, on="text_key")
            for (task,), of_task in places.group_by("task", maintain_order=True):
                rows = pa.table(batch.take(of_task["place"].sort().to_arrow()))
                name = VectorName(str(task), shared["encoder"])
                writer.upsert(vectors_table(name, dimension), rows, vectors_schema(dimension))
        writer.clear(table)


MIGRATIONS = (
    Migration(1, "gives the store an id and a list of its tables, so that one that goes missing is noticed", _identify),
    Migration(2, "gives each technique a table of its own for its vectors, so that a search reads no others", _part),
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
