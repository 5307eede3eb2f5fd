"""Output of the command line: tables for people, one JSON object for scripts, bars for long steps."""

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
"""Narrowest width to which a text column is wrapped."""
SECONDS_BETWEEN_LINES = 30
"""Between two progress lines of one step, where there is no terminal."""

DEFAULT_CONFIG = "knowflow.yaml"
ConfigPath = Annotated[str, Parameter(name=["--config", "-c"], help="The knowflow.yaml to work with.")]
AsJson = Annotated[
    bool, Parameter(name="--json", negative="", show_default=False, help="Print one JSON object instead of a table.")
]
TaskNames = Annotated[
    list[str] | None,
    Parameter(name="--task", negative="", help="A technique; repeatable. Default: all in knowflow.yaml."),
]


def say(text: str) -> None:
    """Print a line for people to standard error, so that standard output holds only results."""
    Console(stderr=True, highlight=False, soft_wrap=True).print(text, markup=False)


def say_next(command: str, config: str, tasks: Sequence[str] | None = None, **options: Any) -> None:
    """Print the next command, with the options that this one was given.

    Args:
        command: The command and its positional arguments, such as `rewrite QUERY`.
        config: The knowflow.yaml.
        tasks: Names given with `--task`.
        options: Further options by name, each with one value or several; None leaves an option out.
    """
    given = {"task": tasks, **options}
    many = {name: [value] if isinstance(value, str) else value or () for name, value in given.items()}
    pairs = [(name.replace("_", "-"), value) for name, values in many.items() for value in values]
    words = ["knowflow", *command.split(), *(word for name, value in pairs for word in (f"--{name}", value))]
    say("next: " + shlex.join([*words, *(["--config", config] if config != DEFAULT_CONFIG else [])]))


def split_names(names: str | None) -> tuple[str, ...] | None:
    """Split names separated by commas; None stays None.

    Example:
        >>> split_names("dense, lexical"), split_names(None)
        (('dense', 'lexical'), None)
    """
    return None if names is None else tuple(name.strip() for name in names.split(",") if name.strip())


def printable(text: str) -> str:
    r"""Escape untrusted text, such as a query or a model's answer, so that a terminal does not execute it.

    Example:
        >>> printable("caf\u00e9 \x1b[31mred")
        'café \\x1b[31mred'
    """
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode("ascii") for letter in text
    )


def print_line(text: str) -> None:
    """Print a result line to standard output."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def print_json(content: Any) -> None:
    """Print one JSON object on one line. NaN must already be null, because JSON has no NaN."""
    sys.stdout.write(json.dumps(content, default=str, allow_nan=False) + "\n")


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]], text_columns: int = 1) -> None:
    """Print a table whose first columns are text and the others numbers, right-aligned.

    In a narrow terminal, texts and headings wrap; numbers and the first column do not. A pipe or a file is never too
    narrow.
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
    console.print(title, style="italic", soft_wrap=True)  # inside the table it would wrap at the table's width
    with console.capture() as drawn:
        console.print(table)
    for line in drawn.get().rstrip("\n").split("\n"):
        sys.stdout.write(line.rstrip() + "\n")
    sys.stdout.flush()  # keeps the order when standard error goes to the same file


def _width(columns: Sequence[str], cells: Sequence[Sequence[str]]) -> int:
    """Return the width of a table, in characters, when no cell wraps."""
    lines = [*(heading.split("\n") for heading in columns)]
    longest = [max(map(len, [*heading, *column])) for heading, *column in zip(lines, *cells, strict=True)]
    return sum(longest) + GAP * (len(longest) - 1)


@contextmanager
def bars() -> Iterator[None]:
    """Draw a bar for every long step that runs inside; print a few plain lines where there is no terminal."""
    # Polars installs its own handler on import, with which Ctrl-C does not end a wait for threads.
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
    """Report each step in a line when done, and at intervals before; with speed and cost where a model is asked."""
    begun: dict[str, tuple[float, int]] = {}
    printed: dict[str, float] = {}
    readings: dict[str, Reading] = {}

    def report(what: str, done: int, total: int) -> None:
        now = time.monotonic()
        since, before = begun.setdefault(what, (now, done))
        if done < total and now - printed.setdefault(what, now) < SECONDS_BETWEEN_LINES:
            return
        printed[what] = now
        reading = readings.get(what)
        more = f"; {reading.line()}" if reading else ""
        pace = (now - since) / (done - before) if done > before else 0.0
        left = reading.seconds_left if reading else pace * (total - done)
        if left and done < total:
            more = f", {left:,.0f} s left{more}"
        say(f"{what}: {done:,} of {total:,}, {now - since:,.0f} s{more}")

    def observe(reading: Reading) -> None:
        readings[reading.what] = reading

    return report, observe
