"""How the command line speaks: tables for people, one JSON object for scripts, bars for long steps."""

import json
import shlex
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any

from cyclopts import Parameter
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from app.progress import reporting_to
from base.progress import Progress as Report
from llm_tasks.pipeline.meter import Observe, Reading

GAP = 2
"""Blanks between two columns."""
SHORTEST = "x" * 12
"""A text is not broken into shorter parts than this."""
SECONDS_BETWEEN_LINES = 30
"""Of one step, where there is no terminal."""

DEFAULT_CONFIG = "knowflow.yaml"
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


def say_next(command: str, config: str, tasks: Sequence[str] | None = None, **options: Any) -> None:
    """Say which command comes next, with the options that this one was given.

    Args:
        command: The command, with its words if it takes some, such as `rewrite QUERY`.
        config: The knowflow.yaml.
        tasks: Names given with `--task`.
        options: Further ones by name, one value or several each; those that are None are left out.
    """
    given = {"task": tasks, **options}
    pairs = [(name, v) for name, value in given.items() for v in ([value] if isinstance(value, str) else value or ())]
    words = ["knowflow", *command.split(), *(word for name, value in pairs for word in (f"--{name}", value))]
    say("next: " + shlex.join([*words, *(["--config", config] if config != DEFAULT_CONFIG else [])]))


def count_rows(count: int) -> str:
    """Say how many rows.

    Example:
        >>> count_rows(1), count_rows(3200)
        ('1 row', '3,200 rows')
    """
    return f"{count:,} row" + ("" if count == 1 else "s")


def printable(text: str) -> str:
    r"""Show a text of strangers, such as a query or a model's answer, so that no terminal takes it for commands.

    Example:
        >>> printable("caf\u00e9 \x1b[31mred")
        'café \\x1b[31mred'
    """
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode("ascii") for letter in text
    )


def print_line(text: str) -> None:
    """Print a line that is a result; it goes to standard output."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def print_json(content: Any) -> None:
    """Print one JSON object on one line; what is no number has to be null there, for JSON knows no NaN."""
    sys.stdout.write(json.dumps(content, default=str, allow_nan=False) + "\n")


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]], text_columns: int = 1) -> None:
    """Print a table whose first columns are text and the others numbers, right-aligned.

    In a terminal that is too narrow texts and headings break, numbers and the first column do not; a pipe or a file is
    never too narrow.
    """
    cells = [[f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row] for row in rows]
    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        console.width = 100_000
    if _width(columns, cells) > console.width:
        may_break = range(1, text_columns)
        columns = [name if place in may_break else name.replace(" ", "\n") for place, name in enumerate(columns)]
        shortest = [[SHORTEST if place in may_break else cell for place, cell in enumerate(row)] for row in cells]
        console.width = max(console.width, _width(columns, shortest))
    table = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0), header_style="bold")
    for place, column in enumerate(columns):
        whole = not 0 < place < text_columns
        table.add_column(column, justify="left" if place < text_columns else "right", overflow="fold", no_wrap=whole)
    for row in cells:
        table.add_row(*row)
    console.print(title, style="italic", soft_wrap=True)  # as a part of the table it would break where the table ends
    with console.capture() as drawn:
        console.print(table)
    for line in drawn.get().rstrip("\n").split("\n"):
        sys.stdout.write(line.rstrip() + "\n")
    sys.stdout.flush()  # in one file with what is said on standard error it keeps its place


def _width(columns: Sequence[str], cells: Sequence[Sequence[str]]) -> int:
    """Characters that a table takes when no cell is broken."""
    lines = [*(heading.split("\n") for heading in columns)]
    longest = [max(map(len, [*heading, *column])) for heading, *column in zip(lines, *cells, strict=True)]
    return sum(longest) + GAP * (len(longest) - 1)


@contextmanager
def bars() -> Iterator[None]:
    """Draw a bar for every long step that runs inside; plain lines, and few of them, where there is no terminal."""
    # Polars puts a handler of its own in place when it is imported, under which Ctrl-C does not end a wait for threads.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    console = Console(stderr=True)
    if not console.is_terminal:
        with reporting_to(*_lines()):
            yield
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[reading]}", style="dim"),
    )
    with Progress(*columns, console=console, refresh_per_second=4) as progress:
        known: dict[str, Any] = {}

        def report(what: str, done: int, total: int) -> None:
            if what not in known:
                known[what] = progress.add_task(what, total=total, reading="")
            progress.update(known[what], completed=done, total=total)

        def observe(reading: Reading) -> None:
            report(reading.what, reading.done, reading.total)
            progress.update(known[reading.what], reading=reading.line())

        with reporting_to(report, observe):
            yield


def _lines() -> tuple[Report, Observe]:
    """Report a step by a line when it is done, and now and then before; with speed and cost where a model is asked."""
    begun: dict[str, float] = {}
    told: dict[str, float] = {}
    readings: dict[str, Reading] = {}

    def report(what: str, done: int, total: int) -> None:
        now = time.monotonic()
        begun.setdefault(what, now)
        if done < total and now - told.setdefault(what, now) < SECONDS_BETWEEN_LINES:
            return
        told[what] = now
        reading = readings.get(what)
        more = f"; {reading.line()}" if reading else ""
        if reading and reading.seconds_left and done < total:
            more = f", {reading.seconds_left:,.0f} s left{more}"
        say(f"{what}: {done:,} of {total:,}, {now - begun[what]:,.0f} s{more}")

    def observe(reading: Reading) -> None:
        readings[reading.what] = reading

    return report, observe
