"""The converted columns of a file, with every fault found in it."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches

import polars as pl

from sources.columns import plain, to_number, unusable, without_marks
from sources.faults import KINDS, Fault, FaultKind
from sources.raw import Raw

logger = logging.getLogger("sources")
FILL_IN = "FILL_IN"
"""What `knowflow init` writes if no column fits; `knowflow plan` then names the setting and the columns there are."""
UNKNOWN: dict[str, FaultKind] = {"item": "unknown_items", "user": "unknown_users"}
"""Kind of the fault of an id that is not in its table."""
NAMED = 10
"""Maximum columns named in a message."""


@dataclass
class CheckedTable:
    """The converted columns of a file, and every fault found."""

    name: str
    """Name of the file in messages."""
    raw: Raw
    """The content that was read."""
    columns: dict[str, pl.Series] = field(default_factory=dict)
    """The canonical columns so far."""
    faults: list[Fault] = field(default_factory=list)
    """All faults so far."""
    bad: pl.Series = field(init=False)
    """[N] Boolean: rows with a fault."""
    earlier: dict[FaultKind, int] = field(default_factory=dict)
    """Rows with faults, by their kind, of a table in long form that this one was made of."""
    of_kind: dict[FaultKind, pl.Series] = field(init=False, default_factory=dict)
    """[N] Boolean for each kind: rows with a fault of it."""
    dropped: pl.Series = field(init=False)
    """[N] Boolean: rows that are left out, but no fault."""
    told: list[str] = field(init=False, default_factory=list)
    """What was said of rows that are left out."""

    def __post_init__(self) -> None:
        """Add the lines that could not be read."""
        self.bad = pl.repeat(False, len(self.raw.rows), dtype=pl.Boolean, eager=True)
        self.dropped = self.bad.clone()
        self.faults += [
            Fault(self.name, line, None, None, why.what, why.fix, "broken_lines") for line, why in self.raw.broken
        ]

    def tell(self, words: str, *values: str) -> None:
        """Warn of rows that are left out.

        Args:
            words: The warning, with `%s` for the name of the file, and for every value.
            values: The values.
        """
        self.told.append(words % (self.name, *values))
        logger.warning("%s", self.told[-1])

    def values(
        self, setting: str, column: str, required: bool = False, lists: bool = False, numbers: bool = False
    ) -> pl.Series:
        """Return the plain values of a column; if it cannot be read, add a fault and return nulls.

        Args:
            setting: Setting of knowflow.yaml that names the column.
            column: Name of the column.
            required: Whether every row must have a value.
            lists: Whether lists are allowed.
            numbers: Whether these are numbers or times: NA or - is a missing one.
        """
        if not self.raw.there:
            return self._nothing()  # no line could be read, which is already a fault
        if column == FILL_IN:
            self.faults.append(_to_fill_in(self.name, setting, self.raw.there))
            return self._nothing()
        if column not in self.raw.there:
            problem = _missing(column, self.raw.there)
        else:
            problem = self.raw.spoiled.get(column) or unusable(self.raw.column(column), lists)
        if problem:
            fix = f"set the right column in knowflow.yaml under {setting}"
            self.faults.append(Fault(self.name, None, column, None, problem, fix))
            return self._nothing()
        values = plain(self.raw.column(column))
        if numbers:
            values = without_marks(values)
        if required:
            self.reject(values.is_null(), column, "is empty", "fill in the empty values")
        return values

    def _nothing(self) -> pl.Series:
        return pl.Series([None] * len(self.raw.rows), dtype=pl.String)

    def take(
        self,
        name: str,
        column: str,
        values: pl.Series,
        convert: Callable[[pl.Series], tuple[pl.Series, pl.Series]],
        what: str,
    ) -> pl.Series:
        """Convert values to a canonical column; reject those that cannot be converted."""
        self.columns[name], bad = convert(values)
        self.reject(bad, column, what, f"correct each value that {what}")
        return self.columns[name]

    def numbers(self, values: pl.Series) -> tuple[pl.Series, pl.Series]:
        """Convert values to numbers as the file writes them, see `to_number`."""
        return to_number(values, self.raw.decimal_comma)

    def reject(self, mask: pl.Series, column: str, what: str, fix: str, kind: FaultKind = "bad_values") -> None:
        """Add a fault for every row in a mask."""
        mask = mask.fill_null(value=False)
        if not mask.any():
            return
        for place, value in zip(mask.arg_true(), self.raw.column(column).filter(mask), strict=True):
            row, part = self.raw.where(column, place)
            shown = None if value is None else str(value)
            self.faults.append(Fault(self.name, row, column, shown, what + part, fix, kind))
        self.of_kind[kind] = self.of_kind.get(kind, mask) | mask
        self.bad = self.bad | mask

    def reject_repeated(self, keys: list[str], column: str, what: str, fix: str) -> None:
        """Reject rows whose key appears in an earlier row."""
        key = pl.DataFrame([self.columns[name].alias(name) for name in keys])
        whole = key.select(pl.all_horizontal(pl.all().is_not_null())).to_series()
        self.reject(
            whole & ~key.select(pl.struct(pl.all()).is_first_distinct()).to_series(), column, what, fix, "duplicates"
        )

    def drop_repeated(self, keys: list[str], best: str) -> int:
        """Leave out rows whose key appears in another row, but for one: that with the largest value of `best`.

        Returns:
            How many rows are left out.
        """
        frame = pl.DataFrame([self.columns[name].alias(name) for name in (*keys, best)]).with_row_index("row")
        # Comparing whole keys takes much memory: only rows that share a hash with another row are compared.
        shared = _repeated(frame.select(keys).hash_rows())
        whole = frame.filter(shared & ~self.bad).drop_nulls(keys)
        first = whole.sort(best, "row", descending=[True, False], nulls_last=True).unique(keys, keep="first")["row"]
        lost = pl.Series(frame["row"].is_in(whole["row"].implode()) & ~frame["row"].is_in(first.implode()))
        return self.drop(lost)

    def drop(self, mask: pl.Series) -> int:
        """Leave out rows that have no fault; return how many."""
        mask = mask.fill_null(value=False)
        self.dropped = self.dropped | mask
        return int(mask.sum())

    def reject_unknown(self, key: str, column: str, known: "CheckedTable") -> None:
        """Reject rows whose id is not in another table; reject none if that table has no readable ids."""
        ids, there = self.columns[key].cast(pl.String), known.ids(key)
        if there.is_empty():
            return
        unknown = ids.is_not_null() & ~ids.is_in(there.implode())
        if strangers := _strangers(ids, unknown, there):
            what, fix = strangers
            self.faults.append(Fault(self.name, None, column, None, what.replace("FILE", known.name), fix))
            self.bad = self.bad | unknown
            return
        self.reject(
            unknown, column, f"is not in {known.name}", f"add it to {known.name}, or drop the row", UNKNOWN[key]
        )

    def counts(self) -> dict[FaultKind, int]:
        """Return how many rows have a fault of each kind; a row may have faults of several."""
        found = {**self.earlier}
        found["broken_lines"] = found.get("broken_lines", 0) + len(self.raw.broken)
        for kind, mask in self.of_kind.items():
            found[kind] = found.get(kind, 0) + int(mask.sum())
        return {kind: found[kind] for kind in KINDS if found.get(kind)}

    def ids(self, key: str) -> pl.Series:
        """Return the ids of all rows as text."""
        return self.columns[key].cast(pl.String).drop_nulls().unique()

    def leave_out_lost(self, key: str, known: "CheckedTable") -> int:
        """Mark rows as bad whose id was left out of another table.

        Returns:
            How many rows were newly marked.
        """
        kept = known.columns[key].filter(~known.bad & ~known.dropped).cast(pl.String)
        ids = self.columns[key].cast(pl.String)
        lost = ids.is_not_null() & ~ids.is_in(kept.unique().implode()) & ~self.bad & ~self.dropped
        self.bad = self.bad | lost
        return int(lost.sum())

    def finish(self) -> pl.DataFrame:
        """Return the canonical columns without the rows that have faults."""
        return pl.DataFrame([series.alias(name) for name, series in self.columns.items()]).filter(
            ~self.bad & ~self.dropped
        )


def _repeated(numbers: pl.Series) -> pl.Series:
    """Return which of some whole numbers occur more than once: [N] -> [N] Boolean."""
    in_order = numbers.sort()
    return numbers.is_in(in_order.filter(in_order == in_order.shift(1)).unique().implode())


def _to_fill_in(name: str, setting: str, there: Sequence[str]) -> Fault:
    what = f"{setting} is still {FILL_IN}; there are {_some(there)}"
    return Fault(name, None, None, None, what, f"set {setting} in knowflow.yaml to a column, or leave the setting out")


def _missing(column: str, there: Sequence[str]) -> str:
    close = get_close_matches(column, there, n=1, cutoff=0.5)
    return f"is missing; did you mean {close[0]!r}?" if close else f"is missing; there are {_some(there)}"


def _some(there: Sequence[str]) -> str:
    more = f" and {len(there) - NAMED:,} more" if len(there) > NAMED else ""
    return f"{', '.join(repr(name) for name in there[:NAMED])}{more}"


def _strangers(ids: pl.Series, unknown: pl.Series, there: pl.Series) -> tuple[str, str] | None:
    """Return what is wrong and how to fix it if nearly all ids are strangers: the two files write ids differently."""
    count = int(unknown.sum())
    strange = ids.filter(unknown).unique(maintain_order=True)
    if count < 20 or count < 0.9 * len(ids) or len(strange) < 5:
        return None
    bare = r"^0+(\d)"
    match = pl.DataFrame({"own": strange, "key": strange.str.replace(bare, "${1}")}).join(
        pl.DataFrame({"known": there, "key": there.str.replace(bare, "${1}")}), on="key", maintain_order="left"
    )
    own, known = match.select("own", "known").row(0) if len(match) else (strange[0], there.sort()[0])
    what = f"{count:,} of {len(ids):,} are not in FILE: here an id is like {own!r}, there like {known!r}"
    if len(match):
        return what, "leading zeros were lost in one file: export it again with ids as text"
    return what, "map the columns that hold the same ids in knowflow.yaml, or use files that belong together"
