"""Slices of a backfill: which users and items are asked about first, and a tenth of them at a time."""

import hashlib
from dataclasses import dataclass
from typing import Literal

import polars as pl

from base.faults import WrongUse
from sources.tables import Dataset

Order = Literal["most_active", "oldest", "coldest"]
"""Most events first; earliest first event first; fewest events first. An item without events is the coldest."""


@dataclass(frozen=True)
class Slice:
    """One of several equal parts of the users, and of the items."""

    number: int
    """Which part, from 1."""
    of: int
    """How many parts there are."""
    order: Order | None = None
    """Which subjects are in the first parts; None = by a hash of their ids, so that a part stays the same."""

    @classmethod
    def read(cls, text: str, order: Order | None = None) -> "Slice":
        """Read a slice such as `1/10`.

        Raises:
            WrongUse: It is none.

        Example:
            >>> Slice.read("2/10")
            Slice(number=2, of=10, order=None)
        """
        number, _, of = text.partition("/")
        if not (number.isdecimal() and of.isdecimal() and 1 <= int(number) <= int(of)):
            raise WrongUse(f"slice: '{text}' is no part of a whole\n  give one such as 1/10, which is the first tenth")
        return cls(int(number), int(of), order)

    def subjects(self, entity: str, dataset: Dataset) -> frozenset[str] | None:
        """Return the users or items of this part; None for any other entity, which is not cut.

        Args:
            entity: What a technique's rows are about.
            dataset: The user's data.
        """
        if entity not in ("user", "item"):
            return None
        events = dataset.events.group_by(entity).agg(count=pl.len(), first=pl.col("time").min())
        if entity == "item":
            events = dataset.items.select("item").join(events, on="item", how="left")
        ids = events.with_columns(pl.col("count").fill_null(0), hashed=_hashes(events[entity]))
        by = {
            "most_active": ids.sort("count", entity, descending=[True, False]),
            "oldest": ids.sort("first", entity, nulls_last=True),
            "coldest": ids.sort("count", entity),
        }
        if self.order is None:
            return frozenset(ids.filter(pl.col("hashed") % self.of == self.number - 1)[entity])
        begin, end = (len(ids) * place // self.of for place in (self.number - 1, self.number))
        return frozenset(by[self.order][entity][begin:end])


def _hashes(ids: pl.Series) -> pl.Series:
    digests = (hashlib.blake2b(one.encode("utf-8", "surrogatepass"), digest_size=8).digest() for one in ids)
    return pl.Series("hashed", [int.from_bytes(one, "little") for one in digests], dtype=pl.UInt64)
