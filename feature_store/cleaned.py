"""Write tables anew without some rows: a file of a table cannot be changed, and an old version keeps what was deleted.

Every version that a release holds, and the newest, gets a version in the new table that lacks these rows and nothing
else. A version is written as its difference from the one before, so that the new table is no larger than the old one.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta

import lance
import polars as pl
import pyarrow as pa
from lance.file import LanceFileReader

from feature_store.damage import is_damage, reading
from feature_store.database import Store, Writer
from feature_store.files import forget_versions
from feature_store.traces import Traces, of_users, reading_any
from feature_store.vector_index import COLUMN, index_again
from feature_store.vectors import STATES_TABLE

Kept = Callable[[str, pl.DataFrame], pl.Series]
"""Takes the name of a table and some of its rows; returns which of them stay."""


@dataclass(frozen=True)
class Cleaner:
    """Decides which rows stay."""

    traces: Traces
    """What goes."""

    def __call__(self, table: str, rows: pl.DataFrame) -> pl.Series:
        """Return which rows of a table stay: [n] Boolean."""
        traces, gone = self.traces, pl.repeat(False, len(rows), dtype=pl.Boolean, eager=True)
        if {"entity_type", "entity"} <= {*rows.columns}:
            gone |= of_users(rows, traces.users)
        named = {"key": traces.answers, "answer_key": traces.answers, "row": traces.rows}
        ends = traces.users - traces.doubtful
        named |= {"source": ends, "target": ends}  # of an edge
        for column, keys in named.items():
            if column in rows.columns:
                gone |= rows[column].is_in(pl.Series(sorted(keys), dtype=pl.String).implode()).fill_null(value=False)
        if "reads" in rows.columns:
            gone |= reading_any(rows["reads"], traces.rows)
        if table.startswith("vectors_") and "text_key" in rows.columns:
            gone |= ~rows["text_key"].is_in(pl.Series(sorted(traces.kept_texts), dtype=pl.String).implode())
        elif table == STATES_TABLE and {"space", "text_keys"} <= {*rows.columns}:
            fitted = [traces.kept_texts.issuperset(keys or ()) for keys in rows["text_keys"].to_list()]
            gone |= rows["space"].is_in(sorted(traces.personal)) & ~pl.Series(fitted, dtype=pl.Boolean)
        for column, kind in rows.schema.items():
            if kind == pl.String:
                gone |= traces.needles.hits(rows[column])
        return ~gone


def holds_any(store: Store, table: str, kept: Kept) -> bool:
    """Return whether any file of a table holds a row that does not stay, whether a version shows it or not.

    A file that cannot be read may hold one: what a killed writer left is not written anew.
    """
    for file in sorted((store.path(table) / "data").glob("*.lance")):
        try:
            rows = LanceFileReader(str(file)).read_all().to_table()
        except BaseException as error:
            if not is_damage(error):
                raise
            return True
        if not kept(table, pl.DataFrame(pl.from_arrow(_without_vectors(rows)))).all():
            return True
    return False


def clean_table(store: Store, staged: Store, table: str, versions: Mapping[str, int], kept: Kept) -> Mapping[int, int]:
    """Write a table anew, with a version for every one that is pinned and for the newest.

    Args:
        store: The store.
        staged: Where the new table is made.
        table: Its name.
        versions: Release -> the version of the table that it pins.
        kept: Decides which rows stay.

    Returns:
        Old version -> the new one; a new number is none of the old ones, so that whoever has read an old one before
        gets an error and no other rows.
    """
    newest = store.version(table)
    wanted, new = sorted({*versions.values(), newest}), dict[int, int]()
    writer = Writer(staged)
    before: pa.Table | None = None
    for version in wanted:
        dataset = store.open(table, version)
        with reading(store.path(table)):
            whole = dataset.to_table()
        rows = whole.filter(kept(table, pl.DataFrame(pl.from_arrow(_without_vectors(whole)))).to_arrow())
        _write(writer, table, rows, before)
        for index in dataset.describe_indices():
            column = index.field_names[0]
            index_again(writer, table, index.name) if column == COLUMN else writer.index_words(table, column)
        new[version] = pass_numbers(staged, table, newest)
        before = rows
    for release, version in versions.items():
        writer.tag(table, release, new[version])
    forget_versions(staged.path(table), timedelta(0))
    return new


def _without_vectors(rows: pa.Table) -> pa.Table:
    return rows.select([field.name for field in rows.schema if not pa.types.is_fixed_size_list(field.type)])


def _write(writer: Writer, table: str, rows: pa.Table, before: pa.Table | None) -> None:
    """Bring the new table from the rows before to these rows."""
    if before is None:
        writer.upsert(table, rows, rows.schema)
        return
    key = rows.schema.names[0]
    now, then = (_digests(one, key) for one in (rows, before))
    gone = then.join(now, on="key", how="anti")["key"]
    if len(gone):
        writer.delete(table, key, gone)
    old = dict(then.iter_rows())
    changed = [digest != old.get(name) for name, digest in now.iter_rows()]
    if any(changed) or rows.schema.names != before.schema.names:
        writer.upsert(table, rows.filter(pa.array(changed, pa.bool_())), rows.schema)


def _digests(rows: pa.Table, key: str) -> pl.DataFrame:
    """Return the key of each row and a hash of the whole row."""
    frame = pl.DataFrame(pl.from_arrow(rows))
    return frame.select(pl.col(key).alias("key"), frame.hash_rows(seed=0).alias("digest"))


def pass_numbers(staged: Store, table: str, taken: int) -> int:
    """Let a new table pass the numbers of versions that the old one has given, and return the number that it has then.

    A bucket has both for a while, and shows the one with the larger number.
    """
    dataset = lance.dataset(str(staged.path(table)))
    while dataset.version <= taken:
        dataset.update_config({"passed": str(dataset.version)})
        dataset = lance.dataset(str(staged.path(table)))
    return dataset.version
