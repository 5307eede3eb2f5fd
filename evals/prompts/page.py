"""The page of a trial: rows side by side, the measures on top, filters and keys; it works from disk."""

import hashlib
import json
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from markupsafe import Markup

from evals.page import FOLDER, page_environment
from evals.prompts.tables import FigureTable, value_text
from evals.prompts.text.novelty import shown_text
from evals.trial import Measured, Trial, TrialRow
from sources.tables import event_of

SCRIPT = (FOLDER / "trial.js.j2").read_text(encoding="utf-8")


@dataclass(frozen=True)
class Cell:
    """The answer of one version about one row."""

    version: str
    """The version."""
    text: str | None
    """The text that is encoded; None if there is none."""
    error: str | None
    """Why there is no text."""
    values: str
    """Its measures, in words."""
    failed: Sequence[str] = ()
    """What the team's own tests find wrong."""


@dataclass(frozen=True)
class PageRow:
    """One row of the page."""

    name: str
    """Whom it is about: `user 7`."""
    stratum: str
    """Its stratum."""
    shown: str
    """What the prompt showed."""
    cells: Sequence[Cell]
    """One for each version."""
    values: str
    """Measure -> version -> value, as JSON."""


@dataclass(frozen=True)
class TrialPage:
    """Everything that the page shows."""

    title: str
    """Heading."""
    made_at: str
    """When it was made, in words."""
    sample: str
    """What the sample is, in words."""
    lead: str
    """The result in a few sentences; empty if nothing was measured."""
    versions: Sequence[str]
    """Names of the versions."""
    tables: Sequence[FigureTable]
    """Measures, a table for each kind."""
    abouts: Sequence[tuple[str, str]]
    """Measure, and what it says."""
    strata: Sequence[str]
    """Strata to filter by."""
    measures: Sequence[str]
    """Measures by row to filter by."""
    rows: Sequence[PageRow]
    """The rows."""
    prompts: Sequence[tuple[str, str]]
    """Version, and the text of its file."""
    caveats: Sequence[str]
    """What to keep in mind."""
    command: str
    """Command that makes it again."""
    tests: Sequence[str] = ()
    """What the team's own tests found."""


def render_trial(page: TrialPage) -> str:
    """Write the page; all values are escaped, and its own policy allows no script but its own and loads nothing."""
    digest = b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()
    template = page_environment().get_template("trial.html.j2")
    return template.render(page=page, script=Markup(SCRIPT), script_hash=Markup(f"sha256-{digest}"))


def page_rows(
    trial: Trial, measured: Sequence[Measured], failed: Mapping[str, Mapping[str, Sequence[str]]]
) -> list[PageRow]:
    """Lay the answers of all versions side by side, with their measures by row."""
    by_row = [one for one in measured if one.by_row]
    return [
        PageRow(
            name=row_name(trial, row),
            stratum=row.stratum,
            shown=shown_text(row.variables),
            cells=[_cell(trial, version, place, by_row, failed) for version in trial.versions],
            values=json.dumps(values_of_row(trial, by_row, place)),
        )
        for place, row in enumerate(trial.rows)
    ]


def _cell(
    trial: Trial,
    version: str,
    place: int,
    by_row: Sequence[Measured],
    failed: Mapping[str, Mapping[str, Sequence[str]]],
) -> Cell:
    answer = trial.answers[version][place]
    values = [
        f"{one.name} {value_text(value)}"
        for one in by_row
        if version in one.by_row
        and (value := one.by_row[version][place]) is not None
        and (value or one.better != "lower")  # that nothing is wrong need not be said of every row
    ]
    return Cell(
        version, answer.text, answer.error, " · ".join(values), failed.get(version, {}).get(trial.rows[place].row, ())
    )


def values_of_row(trial: Trial, by_row: Sequence[Measured], place: int) -> dict[str, dict[str, float | None]]:
    """Return measure -> version -> value of one row."""
    return {one.name: {v: one.by_row[v][place] for v in trial.versions if v in one.by_row} for one in by_row}


def row_name(trial: Trial, row: TrialRow) -> str:
    """Say whom a row is about, in the words by which `knowflow forget` finds users.

    Example:
        >>> trial = Trial("kar_user", "user", (), (), {})
        >>> row_name(trial, TrialRow("k", "7", datetime(2024, 1, 1), "all", {}))
        'user 7'
    """
    if trial.entity != "event":
        return f"{trial.entity} {row.entity}"
    user, item = event_of(row.entity)
    return f"user {user}, item {item}"


def subject_of(trial: Trial, row: TrialRow) -> dict[str, str]:
    """Return whom a row is about as entries of JSON, such as `{"user": "7"}`, which `knowflow forget` finds."""
    if trial.entity != "event":
        return {trial.entity: row.entity}
    user, item = event_of(row.entity)
    return {"user": user, "item": item}


def moment_text(made_at: datetime) -> str:
    """Format a time for the page."""
    return (made_at.astimezone(UTC) if made_at.tzinfo else made_at).strftime("%Y-%m-%d %H:%M UTC")
