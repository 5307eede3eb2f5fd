"""The lineage table: which answer each row of knowledge came from, with both clocks."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa

from feature_store.damage import reading
from feature_store.database import Store, Writer
from feature_store.schemas import LINEAGE
from feature_store.writer import quoted

if TYPE_CHECKING:  # takes a quarter of what `knowflow status` may take, which needs none of it
    import polars as pl

TABLE = "lineage"
TEXTS = ["entity", "as_of", "text"]
"""Columns that `newest_texts` reads."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def row_key(task: str, entity: str, as_of: datetime) -> str:
    """Return the key of a row of knowledge: one per task, entity and as_of.

    Example:
        >>> row_key("kar_user", "7", datetime(1970, 1, 2, tzinfo=UTC))
        'kar_user/7/86400000000'
    """
    elapsed = as_of - EPOCH
    return f"{task}/{entity}/{(elapsed.days * 86_400 + elapsed.seconds) * 1_000_000 + elapsed.microseconds}"


def part_name(task: str, part: str) -> str:
    """Return the name of a part of a technique's answers; it has its own rows and vectors, like a technique.

    Example:
        >>> part_name("once_profile", "topics")
        'once_profile.topics'
    """
    return f"{task}.{part}"


def technique_of(name: str) -> str:
    """Return the technique of rows or vectors, given the name of a technique or of a part.

    Example:
        >>> technique_of("once_profile.topics"), technique_of("kar_item")
        ('once_profile', 'kar_item')
    """
    return name.partition(".")[0]


class VectorName(NamedTuple):
    """Names the vectors of a technique, or of a part of its answers, from one encoder. Written `task/encoder`.

    Example:
        >>> name = VectorName.read("once_profile.topics/dense")
        >>> name.encoder, name.technique, str(name)
        ('dense', 'once_profile', 'once_profile.topics/dense')
    """

    task: str
    """The technique, or TECHNIQUE.PART."""
    encoder: str
    """The encoder."""

    @classmethod
    def read(cls, text: str) -> "VectorName":
        """Parse a name written by `str`."""
        task, _, encoder = text.partition("/")
        return cls(task, encoder)

    @property
    def technique(self) -> str:
        """Return the technique whose answers were encoded."""
        return technique_of(self.task)

    def __str__(self) -> str:
        """Return the name as arms and releases write it."""
        return f"{self.task}/{self.encoder}"


def read_lineage(
    store: Store, tasks: Iterable[str] | None = None, columns: list[str] | None = None, version: int | None = None
) -> "pl.DataFrame":
    """Read the lineage rows of all tasks or of some."""
    import polars as pl  # noqa: PLC0415 - see above

    names = None if tasks is None else list(tasks)
    if names is not None and not names:
        return pl.DataFrame(pl.from_arrow(LINEAGE.empty_table().select(columns or LINEAGE.names)))
    where = None if names is None else "task IN (" + ", ".join(quoted(name) for name in names) + ")"
    return pl.DataFrame(pl.from_arrow(store.read(TABLE, LINEAGE, columns=columns, where=where, version=version)))


def find_texts(store: Store, keys: "pl.Series", version: int | None = None) -> "pl.DataFrame":
    """Return text_key and text of some texts, each once; those that the lineage does not hold are left out.

    Args:
        store: The store.
        keys: Text keys.
        version: Version of the table; None = the newest.
    """
    import polars as pl  # noqa: PLC0415 - see above

    if keys.is_empty() or not store.has(TABLE):
        return pl.DataFrame(schema={"text_key": pl.String, "text": pl.String})
    dataset, columns = store.open(TABLE, version), ["text_key", "text"]
    with reading(store.uri(TABLE)):
        there = pl.DataFrame(pl.from_arrow(dataset.scanner(columns=["text_key"], scan_in_order=True).to_table()))
        wanted = there.with_row_index("at").join(keys.alias("text_key").to_frame(), on="text_key", how="semi")
        places = wanted.unique("text_key", keep="first")["at"].sort()
        if len(places) > len(there) // 2:  # in one piece, which is faster
            whole = dataset.scanner(columns=columns, scan_in_order=True).to_table()
            return pl.DataFrame(pl.from_arrow(whole))[places]
        return pl.DataFrame(pl.from_arrow(dataset.take(places.to_list(), columns=columns)))


def count_rows(store: Store) -> list[dict[str, Any]]:
    """Count the rows of each task: task, rows, entities, without_text, newest_as_of."""
    counted = [([], "count_all"), ("entity", "count_distinct"), ("text_key", "count"), ("as_of", "max")]
    found = store.read(TABLE, LINEAGE, columns=["task", "entity", "text_key", "as_of"])
    by_task = found.group_by("task").aggregate(counted).sort_by("task").to_pylist()
    return [
        {
            "task": one["task"],
            "rows": one["count_all"],
            "entities": one["entity_count_distinct"],
            "without_text": one["count_all"] - one["text_key_count"],
            "newest_as_of": one["as_of_max"],
        }
        for one in by_task
    ]


def newest_texts(rows: "pl.DataFrame") -> dict[str, str]:
    """Return entity -> its newest text, ordered by entity; rows without a text are ignored.

    Args:
        rows: Lineage of one task, at least entity, as_of and text.
    """
    return dict(rows.drop_nulls("text").sort("entity", "as_of").select("entity", "text").iter_rows())


def texts_before(rows: "pl.DataFrame", moment: datetime) -> dict[str, str]:
    """Return entity -> its newest text that was known strictly before a moment, ordered by entity.

    What a model writes is known at the earliest from the newest event that the model was tuned on.

    Args:
        rows: Lineage of one task, at least entity, as_of, model_seen_until and text.
        moment: The moment, UTC.
    """
    import polars as pl  # noqa: PLC0415 - see above

    return newest_texts(rows.filter(pl.max_horizontal("as_of", "model_seen_until") < moment))


def write_lineage(writer: Writer, rows: list[dict]) -> int:
    """Commit lineage rows, one dict per row with the columns of `schemas.LINEAGE`."""
    return writer.upsert(TABLE, pa.Table.from_pylist(rows, schema=LINEAGE), LINEAGE) if rows else 0


def delete_lineage(writer: Writer, rows: Iterable[str]) -> None:
    """Delete lineage rows by their keys; earlier releases keep theirs."""
    writer.delete(TABLE, "row", rows)
