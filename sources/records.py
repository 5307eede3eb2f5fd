"""Read text files record by record: slower than all at once, but it reports every broken line and loses no other."""

import csv
import json
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CHUNK = 2**24


@dataclass(frozen=True)
class Broken:
    """Why a record cannot be read."""

    what: str
    """What is wrong."""
    fix: str
    """How to fix it."""


QUOTE = Broken("has a quote that is not closed correctly", "close the quote; double a quote inside a text")
LONG = Broken("has more fields than the header", "quote a text that contains a comma")
SHORT = Broken("has fewer fields than the header", "write every field, even if empty")
CODING = Broken("is not UTF-8", "set `encoding:` in the section of the file, such as cp1252, or save the file as UTF-8")
NO_JSON = Broken("is not JSON", "write one JSON object per line")
NO_OBJECT = Broken("is JSON, but not an object", "write one JSON object per line")


def csv_records(
    path: Path, delimiter: str = ",", quoted: bool = True, escaped: bool = False
) -> Iterator[tuple[int, list[str] | Broken]]:
    r"""Read a CSV file including its header, without blank lines.

    Bytes that are not UTF-8 become lone surrogates, see `is_text`. After an unclosed quote, reading continues on the
    next line, so that it does not swallow the rest of the file.

    Args:
        path: The file.
        delimiter: What separates fields.
        quoted: Whether fields may be enclosed in double quotes.
        escaped: Whether `\"` is a quote inside a quoted field.

    Yields:
        The line on which a record begins, and its fields or why they cannot be read.
    """
    csv.field_size_limit(2**31 - 1)  # a description may be longer than Python's limit of 131,072 characters
    form: dict[str, Any] = {"delimiter": delimiter, "strict": True}
    form |= {"escapechar": "\\"} if escaped else {}
    form |= {} if quoted else {"quoting": csv.QUOTE_NONE}
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        taken: list[str] = []
        again: deque[str] = deque()
        reader = csv.reader(_lines(file, taken, again), **form)
        first = 1
        while True:
            try:
                fields = next(reader)
            except StopIteration:
                return
            except csv.Error:
                again.extendleft(reversed(taken[1:]))
                del taken[1:]
                reader = csv.reader(_lines(file, taken, again), **form)
                yield first, QUOTE
            else:
                if fields:
                    yield first, fields
            first += len(taken)
            taken.clear()


def _lines(file: Iterable[str], taken: list[str], again: deque[str]) -> Iterator[str]:
    """Yield lines to read again, then those of the file, and append each to `taken`."""
    lines = iter(file)
    while True:
        line = again.popleft() if again else next(lines, None)
        if line is None:
            return
        taken.append(line)
        yield line


def jsonl_records(path: Path) -> Iterator[tuple[int, dict[str, Any] | Broken]]:
    """Read a JSONL file without blank lines.

    Yields:
        The line number, and its object or why it is not one.
    """
    with path.open("rb") as file:
        for line, content in enumerate(file, 1):
            stripped = content.removeprefix(b"\xef\xbb\xbf").strip()
            if not stripped:
                continue
            try:
                value = json.loads(stripped.decode("utf-8"))
            except UnicodeDecodeError:
                yield line, CODING
            except (ValueError, RecursionError):
                yield line, NO_JSON
            else:
                yield line, value if isinstance(value, dict) else NO_OBJECT


def is_text(value: str) -> bool:
    """Return whether a field was valid UTF-8."""
    return value.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in value)


def count_lines(path: Path) -> int:
    """Count the lines of a file, without blank ones at its end."""
    count, pending, content = 0, 0, False
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            body = chunk.rstrip(b"\r\n")
            if body:  # line ends count only when something follows them
                count += pending + chunk.count(b"\n", 0, len(body))
                pending, content = 0, True
            pending += chunk.count(b"\n", len(body))
    return count + content
