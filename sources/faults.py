"""Faults in the user's data, collected and reported all at once."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal, get_args

from base.faults import WrongUse

FaultKind = Literal["duplicates", "unknown_items", "unknown_users", "bad_values", "broken_lines"]
"""Kinds of faults of single rows: an id that repeats or is not in its table, a wrong value, a broken line."""
KINDS: tuple[FaultKind, ...] = get_args(FaultKind)
"""All kinds, in the order in which they are named."""
SHOWN = 10
"""Maximum faults of one kind in a message; the rest is counted."""
LONGEST = 30
"""Maximum characters of a wrong value in a message."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong, and how to fix it."""

    file: str
    """The file."""
    row: int | None
    """The row: the N-th row of a Parquet file, the line of a CSV or JSONL file; None = the whole file."""
    column: str | None
    """The column, or the setting of knowflow.yaml."""
    value: str | None
    """The wrong value."""
    what: str
    """What is wrong."""
    fix: str
    """How to fix it."""
    kind: FaultKind = "bad_values"
    """Its kind, if it is the fault of a row; a fault of the whole file can never be skipped."""

    def cells(self) -> tuple[str, str, str]:
        """Return its position, column and value for a message."""
        value = "" if self.value is None else repr(_short(self.value))
        if self.row is not None:
            return f"{'row' if self.file.endswith('.parquet') else 'line'} {self.row}", self.column or "", value
        if self.column is None:
            return "", "", ""
        return "setting" if self.file.endswith((".yaml", ".yml")) else "column", self.column, value


class SourceFaults(WrongUse):
    """The data cannot be used.

    Args:
        faults: All faults.
    """

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__(faults_text(self.faults))


def _short(value: str) -> str:
    return value if len(value) <= LONGEST else value[: LONGEST - 1] + "…"


def faults_text(faults: Sequence[Fault], end: str = "nothing was read", skippable: bool = True) -> str:
    """Describe faults, file by file, all at once.

    Args:
        faults: The faults.
        end: What follows from them.
        skippable: Whether knowflow.yaml can say to leave out rows with faults.
    """
    by_file: dict[str, list[Fault]] = {}
    for fault in faults:
        by_file.setdefault(fault.file, []).append(fault)
    lines: list[str] = []
    for file, found in by_file.items():
        lines.append(f"{file}: {len(found):,} fault{'s' if len(found) > 1 else ''}, {end}")
        lines += _table(found)
        lines += [f"  fix: {fix}" for fix in dict.fromkeys(fault.fix for fault in found)]
    if skippable and faults and all(fault.row is not None for fault in faults):
        kinds = ", ".join(kind for kind in KINDS if any(fault.kind == kind for fault in faults))
        lines.append(f"fix the rows, or add to skip in knowflow.yaml to leave them out: {kinds}")
    return "\n".join(lines)


def _table(faults: list[Fault]) -> list[str]:
    """Return aligned lines, a few for each kind of fault."""
    kinds = [list(kind) for _, kind in groupby(faults, key=lambda fault: (fault.column, fault.what))]
    shown = [fault for kind in kinds for fault in kind[:SHOWN]]
    widths = [max(len(fault.cells()[place]) for fault in shown) for place in range(3)]
    lines: list[str] = []
    for kind in kinds:
        for fault in kind[:SHOWN]:
            cells = [cell.ljust(width) for cell, width in zip(fault.cells(), widths, strict=True) if width]
            lines.append("  " + "  ".join([*cells, fault.what]) if any(fault.cells()) else f"  {fault.what}")
        if len(kind) > SHOWN:
            lines.append(f"  ... and {len(kind) - SHOWN:,} more like it")
    return lines
