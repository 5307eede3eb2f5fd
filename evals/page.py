"""A small self-contained page of results: tables, examples and caveats, in the look of the report."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Table:
    """One table; its first column names the row, the others are shown right-aligned."""

    caption: str
    """What it shows."""
    columns: Sequence[str]
    """Headings."""
    rows: Sequence[Sequence[str]]
    """Cells in words, as many a row as there are headings."""
    subject: str | None = None
    """First cell of the row that the page is about; it is set off."""


@dataclass(frozen=True)
class Example:
    """One case shown in full, folded until it is opened."""

    heading: str
    """What it is about."""
    aside: str
    """A few words more, such as a figure; may be empty."""
    lines: Sequence[tuple[str, str]]
    """Name and text of everything there is to see of it; line ends are kept."""


@dataclass(frozen=True)
class Section:
    """A heading and what stands under it, in this order."""

    heading: str
    """Heading, and its entry in the contents."""
    lead: str = ""
    """What is seen here, and how it is to be read."""
    tables: Sequence[Table] = ()
    """Tables."""
    points: Sequence[str] = ()
    """Sentences as a list, such as caveats."""
    examples: Sequence[Example] = ()
    """Cases."""


def page_environment() -> Environment:
    """How every page is written: all that it is given is escaped, and a name that is missing is an error."""
    return Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def render_page(title: str, made_at: datetime, command: str, sections: Sequence[Section], lead: str = "") -> str:
    """Write the page.

    Args:
        title: Heading of the page.
        made_at: When it was made.
        command: Command that makes it again.
        sections: What it shows.
        lead: What was found, in a sentence or two, under the heading.

    Returns:
        One HTML page. All that it is given is escaped, and its own policy forbids scripts and any load from outside.

    Raises:
        ValueError: A table has a row of another length than its headings.
    """
    for table in (table for section in sections for table in section.tables):
        if any(len(row) != len(table.columns) for row in table.rows):
            raise ValueError(f"table '{table.caption}': a row has not {len(table.columns)} cells")
    moment = (made_at.astimezone(UTC) if made_at.tzinfo else made_at).strftime("%Y-%m-%d %H:%M UTC")
    return (
        page_environment()
        .get_template("page.html.j2")
        .render(title=title, lead=lead, made_at=moment, command=command, sections=sections)
    )
