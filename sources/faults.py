"""Faults of the user's data, collected and told all at once."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby

SHOWN = 20


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong, and how to mend it."""

    file: str
    """File it is in."""
    row: int | None
    """Row it is in: the N-th row of a Parquet file, the line of a CSV or JSONL file; None = the whole file."""
    column: str | None
    """Column it is in."""
    value: str | None
    """The value that is wrong."""
    what: str
    """What is wrong, in words."""
    mend: str
    """What to do about it."""

    def line(self) -> str:
        """The fault in one aligned line."""
        if self.row is not None:
            unit = "row " if self.file.endswith(".parquet") else "line"
            value = "" if self.value is None else f"{self.value!r:16s}"
            return f"  {unit} {self.row:<8,}{self.column or '':14s}{value}{self.what}"
        return f"  {f'column  {self.column:14s}' if self.column else ''}{self.what}"


class SourceFaults(Exception):
    """The data cannot be used as it is.

    Args:
        faults: Everything that is wrong.
    """

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__(_text(self.faults))


def _text(faults: tuple[Fault, ...]) -> str:
    lines: list[str] = []
    for file, of_file in groupby(sorted(faults, key=lambda f: f.file), key=lambda f: f.file):
        kept = list(of_file)
        lines.append(f"{file}: {len(kept):,} fault{'s' if len(kept) > 1 else ''}, nothing was read")
        mends: dict[str, None] = {}
        for _, group in groupby(kept, key=lambda f: (f.column, f.what)):
            alike = list(group)
            lines += [fault.line() for fault in alike[:SHOWN]]
            if len(alike) > SHOWN:
                lines.append(f"  ... and {len(alike) - SHOWN:,} more of this kind")
            mends.update(dict.fromkeys(fault.mend for fault in alike))
        lines += [f"  mend: {mend}" for mend in mends]
    if any(fault.row is not None for fault in faults):
        lines.append("mend the rows, or pass --skip-bad-rows to leave them out")
    return "\n".join(lines)
