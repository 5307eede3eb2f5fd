"""How the command line speaks: tables for people, one JSON object for scripts, bars for long steps."""

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any

from cyclopts import Parameter
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from flows.progress import reporting_to

ConfigPath = Annotated[str, Parameter(name=["--config", "-c"], help="The knowflow.yaml to work with.")]
AsJson = Annotated[
    bool, Parameter(name="--json", negative="", show_default=False, help="Print one JSON object instead of a table.")
]
TaskNames = Annotated[
    list[str] | None,
    Parameter(
        name="--task", negative="", help="A technique; may be given several times. All of knowflow.yaml if left out."
    ),
]


def say(text: str) -> None:
    """Print a line for people; it goes to standard error, so that standard output holds results alone."""
    Console(stderr=True, highlight=False, soft_wrap=True).print(text, markup=False)


def print_json(content: Any) -> None:
    """Print one JSON object on one line."""
    sys.stdout.write(json.dumps(content, default=str) + "\n")


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]], text_columns: int = 1) -> None:
    """Print a table whose first columns are text and the others numbers, right-aligned."""
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for place, column in enumerate(columns):
        table.add_column(
            column, justify="left" if place < text_columns else "right", overflow="fold", no_wrap=place == 0
        )
    for row in rows:
        table.add_row(*(f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row))
    Console(highlight=False).print(table)


@contextmanager
def bars() -> Iterator[None]:
    """Draw a bar for every long step that runs inside; plain lines where there is no terminal."""
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, refresh_per_second=4) as progress:
        known: dict[str, Any] = {}

        def report(what: str, done: int, total: int) -> None:
            if what not in known:
                known[what] = progress.add_task(what, total=total)
            progress.update(known[what], completed=done, total=total)

        with reporting_to(report):
            yield
