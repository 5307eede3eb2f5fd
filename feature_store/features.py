"""Features of rows: what a release knew of each row's user and item strictly before the row's time.

A `Source` holds rows of knowledge about entities of one kind; a `Joiner` finds for each of the user's rows the newest
one that was known, and takes its columns. Rows may come in chunks: everything about the sources is prepared once.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from feature_store.ids import Ids
from feature_store.timeline import LIVE, Timeline

DAY = 86_400_000_000
"""Microseconds."""
OF_WHOM = {"user": ("user",), "item": ("item",), "event": ("user", "item")}
"""Kinds of entities that a row names -> the ids that name them."""


@dataclass(frozen=True)
class Column:
    """What a source adds to each row."""

    name: str
    """Name of the column."""
    values: np.ndarray | pl.Series
    """[M, k] float32 or int32, or a Series of M values."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """Its meaning and provenance, for the schema file."""

    def dtype(self) -> pl.DataType:
        """Return its type in a frame."""
        if isinstance(self.values, pl.Series):
            return self.values.dtype
        return pl.Array(pl.Series(self.values[:0].ravel()).dtype, self.values.shape[1])

    def take(self, place: np.ndarray) -> pl.Series:
        """Return the values of some rows: [n] int64 places, -1 = null."""
        if isinstance(self.values, pl.Series):
            return self.values.gather(pl.Series(place).set(pl.Series(place < 0), None)).alias(self.name)
        return vectors_series(self.name, self.values, place)


@dataclass(frozen=True)
class Source:
    """Rows of knowledge about entities of one kind."""

    name: str
    """Such as `kar_item/dense`."""
    entity: str
    """A key of `OF_WHOM`."""
    entities: np.ndarray
    """[M] str: ids, those of events as `sources.tables.event_id` writes them."""
    known: np.ndarray
    """[M] int64, microseconds since 1970: the newest event that each row may have seen."""
    columns: tuple[Column, ...]
    """What it adds."""
    age: str | None = None
    """Name of the column with the age of the row that was found, in days; None if another source adds it."""


@dataclass(frozen=True)
class Keys:
    """What names the entities of N rows, and when."""

    user: pl.Series | None
    """String, null = none; None if the rows name no users."""
    item: pl.Series | None
    """String, null = none; None if the rows name no items."""
    time: np.ndarray
    """[N] int64, microseconds since 1970; `LIVE` for rows after everything."""


Places = Mapping[str, np.ndarray]
"""Name of a source -> [N] int64: its row for each of the rows, -1 = none."""


def vectors_series(name: str, table: np.ndarray, place: np.ndarray) -> pl.Series:
    """Gather rows of a table as a Series of arrays: [M, k], [n] places, -1 = null."""
    flat = np.take(table, place, axis=0, mode="clip").ravel()  # clip: -1 is masked below
    known = place >= 0
    # From buffers, because a mask makes pyarrow copy the vectors.
    bits = None if known.all() else pa.py_buffer(np.packbits(known, bitorder="little"))
    kind = pa.list_(pa.from_numpy_dtype(table.dtype), table.shape[1])
    return pl.Series(name, pl.from_arrow(pa.Array.from_buffers(kind, len(place), [bits], children=[pa.array(flat)])))


class Joiner:
    """Joins sources to rows.

    Args:
        sources: The sources; their columns have distinct names.
        now: Microseconds since 1970, from which the age of what live rows see is counted.
    """

    def __init__(self, sources: Sequence[Source], now: int) -> None:
        self.sources, self._now = tuple(sources), now
        self._ids = {kind: Ids(_ids_of(kind, sources)) for kind in ("user", "item")}
        self._pairs = np.unique(np.concatenate([_no_codes(), *(self._pair_codes(s) for s in sources if _is_pair(s))]))
        self._pairs = self._pairs[self._pairs >= 0]
        lines: dict[bytes, Timeline] = {}
        self._lines: dict[str, tuple[str, Timeline]] = {}
        for source in sources:  # vectors of one technique by several encoders mostly share theirs
            codes = self._codes_of(source)
            same = source.entity.encode() + codes.tobytes() + source.known.tobytes()
            lines.setdefault(same, Timeline(codes, source.known, self._count(source.entity)))
            self._lines[source.name] = (source.entity, lines[same])

    @property
    def roles(self) -> tuple[str, ...]:
        """Return the ids that rows must have: `user`, `item` or both."""
        return tuple(dict.fromkeys(role for source in self.sources for role in OF_WHOM[source.entity]))

    @property
    def schema(self) -> dict[str, pl.DataType]:
        """Return the names and types of all columns, in order."""
        found: dict[str, pl.DataType] = {}
        for source in self.sources:
            found |= {column.name: column.dtype() for column in source.columns}
            found |= {source.age: pl.Float32()} if source.age else {}
        return found

    def places(self, keys: Keys) -> Places:
        """Find for each row the row of every source that it sees."""
        codes = {kind: self._asked(kind, keys) for kind in dict.fromkeys(s.entity for s in self.sources)}
        found: dict[int, np.ndarray] = {}
        for kind, line in self._lines.values():
            if id(line) not in found:
                found[id(line)] = line.rows(codes[kind], keys.time)
        return {name: found[id(line)] for name, (_, line) in self._lines.items()}

    def columns(self, places: Places, time: np.ndarray) -> list[pl.Series]:
        """Take the columns of rows: their places, and their times as in `Keys`."""
        taken: list[pl.Series] = []
        for source in self.sources:
            place = places[source.name]
            taken += [column.take(place) for column in source.columns]
            taken += [self._ages(source, place, time)] if source.age else []
        return taken

    def _ages(self, source: Source, place: np.ndarray, time: np.ndarray) -> pl.Series:
        if not len(source.known):
            return pl.Series(source.age, [None], dtype=pl.Float32).new_from_index(0, len(place))
        known = np.take(source.known, place, mode="clip")
        age = (np.where(time == LIVE, self._now, time) - known) / DAY
        missing = (place < 0) | (known == 0)  # what uses no event has no age
        return pl.Series(source.age or "", age.astype(np.float32)).set(pl.Series(missing), None)

    def _count(self, kind: str) -> int:
        return len(self._ids[kind]) if kind in self._ids else len(self._pairs)

    def _codes_of(self, source: Source) -> np.ndarray:
        if _is_pair(source):
            return self._pair_place(self._pair_codes(source))
        return self._ids[source.entity].codes(pl.Series(source.entities, dtype=pl.String))

    def _asked(self, kind: str, keys: Keys) -> np.ndarray:
        codes = [self._id_codes(role, getattr(keys, role), len(keys.time)) for role in OF_WHOM[kind]]
        return codes[0] if len(codes) == 1 else self._pair_place(self._paired(*codes))

    def _id_codes(self, role: str, ids: pl.Series | None, rows: int) -> np.ndarray:
        return np.full(rows, -1, dtype=np.int64) if ids is None else self._ids[role].codes(ids)

    def _pair_codes(self, source: Source) -> np.ndarray:
        users, items = _split_pairs(source.entities)
        return self._paired(self._ids["user"].codes(users), self._ids["item"].codes(items))

    def _paired(self, user: np.ndarray, item: np.ndarray) -> np.ndarray:
        return np.where((user >= 0) & (item >= 0), user * len(self._ids["item"]) + item, -1)

    def _pair_place(self, code: np.ndarray) -> np.ndarray:
        if not len(self._pairs):
            return np.full(len(code), -1, dtype=np.int64)
        place = np.minimum(np.searchsorted(self._pairs, code), len(self._pairs) - 1)
        return np.where((self._pairs[place] == code) & (code >= 0), place, -1)


def _is_pair(source: Source) -> bool:
    return len(OF_WHOM[source.entity]) == 2


def _no_codes() -> np.ndarray:
    return np.zeros(0, dtype=np.int64)


def _split_pairs(entities: np.ndarray) -> tuple[pl.Series, pl.Series]:
    """Return users and items of events."""
    pairs = [json.loads(one) for one in entities.tolist()]
    return pl.Series([one[0] for one in pairs], dtype=pl.String), pl.Series([one[1] for one in pairs], dtype=pl.String)


def _ids_of(kind: str, sources: Sequence[Source]) -> pl.Series:
    """Return all ids of one kind that sources name."""
    found = [pl.Series([], dtype=pl.String)]
    for source in sources:
        if source.entity == kind:
            found.append(pl.Series(source.entities, dtype=pl.String))
        elif kind in OF_WHOM[source.entity]:
            found.append(_split_pairs(source.entities)[OF_WHOM[source.entity].index(kind)])
    return pl.concat(found).unique(maintain_order=True)
