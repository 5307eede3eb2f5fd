"""A small self-contained page of results: tables, examples and caveats, in the style of the report."""

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
    """Cells as text, one per heading in each row."""
    subject: str | None = None
    """First cell of the row to highlight."""


@dataclass(frozen=True)
class Example:
    """One case shown in full, folded until opened."""

    heading: str
    """Title of the case."""
    aside: str
    """A short addition, such as a figure; may be empty."""
    lines: Sequence[tuple[str, str]]
    """Name and text of each part; line breaks are kept."""


@dataclass(frozen=True)
class Section:
    """A heading and its content, in this order."""

    heading: str
    """Heading, and its entry in the contents."""
    lead: str = ""
    """What the section shows and how to read it."""
    tables: Sequence[Table] = ()
    """Tables."""
    points: Sequence[str] = ()
    """Sentences as a list, such as caveats."""
    examples: Sequence[Example] = ()
    """Cases."""


def page_environment() -> Environment:
    """Return the template environment of every page: it escapes all values, and a missing name is an error."""
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
        lead: The result in a sentence or two, under the heading.

    Returns:
        One HTML page. All values are escaped, and the page's own policy forbids scripts and external resources.

    Raises:
        ValueError: The rows of a table do not fit its headings.
    """
    for table in (table for section in sections for table in section.tables):
        if any(len(row) != len(table.columns) for row in table.rows):
            raise ValueError(f"table '{table.caption}': a row does not have {len(table.columns)} cells")
    moment = (made_at.astimezone(UTC) if made_at.tzinfo else made_at).strftime("%Y-%m-%d %H:%M UTC")
    return (
        page_environment()
        .get_template("page.html.j2")
        .render(title=title, lead=lead, made_at=moment, command=command, sections=sections)
    )
