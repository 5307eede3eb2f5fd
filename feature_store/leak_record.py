"""What a release says of its leak check, so that the next refresh checks only what is new.

The release holds in its facts when everything was last checked, by which version of the check, and the checksum of
`leak-check.parquet`: the states of all subjects in which no leak was found (`leak_states`). There is one such file in a
store, that of the newest release: whatever else became current since, by a rollback or a repair, is checked whole.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl

from base.files import sha256_of
from feature_store.leak_check import LeakReport
from feature_store.leak_evidence import Evidence
from feature_store.leak_states import STATES
from feature_store.release_record import Release

FILE = "leak-check.parquet"
HALF = f".{FILE}.new"
"""The file while it is written."""
FACT = "leak_check"
"""Name among the facts of a release."""


@dataclass(frozen=True)
class Covered:
    """What an earlier check covers."""

    release: str
    """The release that it was a gate of."""
    states: pl.DataFrame
    """subject and state."""
    whole_in: str
    """The release whose check was the last that covered nothing but what it checked itself."""
    whole_at: datetime
    """When that was."""


def read_covered(folder: Path, before: Release | None, evidence: Evidence, now: datetime, days: int) -> Covered | str:
    """Return what the check of the current release covers, or why everything is to be checked.

    Args:
        folder: Folder of the store.
        before: The current release.
        evidence: The data.
        now: The present.
        days: Everything is checked again when the last whole check is so many days old.
    """
    if before is None:
        return "there is no release yet"
    why = _not_covered(folder, before, version_of(evidence), now, timedelta(days=days))
    said = before.facts.get(FACT, {})
    return why or Covered(
        release=before.name,
        states=pl.read_parquet(folder / FILE, schema=STATES),
        whole_in=said["whole_in"] or before.name,
        whole_at=datetime.fromisoformat(said["whole_at"]),
    )


def _not_covered(folder: Path, before: Release, version: str, now: datetime, most: timedelta) -> str | None:
    """Say why the check of a release covers nothing; None if it does."""
    said, name = before.facts.get(FACT), before.name
    if before.rolled_back_to is not None:
        return f"{name} points to the tables of {before.rolled_back_to}"
    if said is None:
        return f"{name} does not say what was checked"
    if said["version"] != version:
        return f"the check, or what it depends on in knowflow.yaml, has changed since {name}"
    last = datetime.fromisoformat(said["whole_at"])
    if not timedelta() <= now - last < most:  # a clock that jumped back says nothing
        return f"the last time was on {last:%Y-%m-%d}"
    file = folder / FILE
    return None if file.is_file() and sha256_of(file) == said["states"] else f"{FILE} is not that of {name}"


def told(report: LeakReport, covered: Covered | str) -> str:
    """Say in words what a check has covered.

    Example:
        >>> told(LeakReport(9, 5, 4, 0, (), checked=9), "there is no release yet")
        'checked all 9 rows (there is no release yet)'
    """
    if isinstance(covered, str):
        return f"checked all {report.rows:,} rows{f' ({covered})' if covered else ''}"
    return (
        f"checked {report.checked:,} new rows of {report.rows:,}; the rest was checked in {covered.release}"
        f" (all of it last in {covered.whole_in}, {covered.whole_at:%Y-%m-%d})"
    )


def write_record(
    folder: Path, report: LeakReport, evidence: Evidence, covered: Covered | str, now: datetime
) -> Mapping[str, Any]:
    """Write the states that a check without a leak covers; return what the release is to say of it.

    A kill before the release is published leaves a file that is not that of the current release.
    """
    file = folder / FILE
    made = folder / HALF
    report.states.write_parquet(made)
    made.replace(file)
    whole = isinstance(covered, str)
    return {
        "version": version_of(evidence),
        "rows": report.rows,
        "checked": report.checked,
        "since": None if whole else covered.release,
        "whole_in": None if whole else covered.whole_in,
        "whole_at": (now if whole else covered.whole_at).isoformat(),
        "states": sha256_of(file),
    }


def drop_record(folder: Path) -> None:
    """Let the next check be whole."""
    for name in (FILE, HALF):
        (folder / name).unlink(missing_ok=True)


def version_of(evidence: Evidence) -> str:
    """Return what tells a check from others: its code, that of Polars, and the rules by which data became evidence."""
    return hashlib.sha256(f"{_code()} {pl.__version__} {evidence.rules}".encode()).hexdigest()


@cache
def _code() -> str:
    files = sorted(Path(__file__).parent.glob("leak_*.py"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
