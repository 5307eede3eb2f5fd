"""Find out how a text file is written, from its beginning."""

import ast
import csv
import io
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from sources.file_format import FileFormat
from sources.plain_text import MARKS, UNIT, unpacked

SAMPLE = 2**18
"""Bytes of the beginning that decide."""
ROWS = 500
"""Maximum rows that decide."""
DELIMITERS = ("::", "\t", ";", "|", ",")
"""Known delimiters; of equally fitting ones the first is taken."""
DATA = r"-?\d+([.,]\d+)?|https?://.*|\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}.*|\[.*\]|\{.*\}"
"""Values that are no names of columns: numbers, links, dates, lists, records."""


@dataclass(frozen=True)
class Form:
    """How one text file is written."""

    kind: str = "fields"
    """`fields`, `JSON lines`, `JSON array` or `Python records`."""
    encoding: str = "utf-8"
    """The encoding."""
    delimiter: str = ","
    """What separates fields."""
    quoted: bool = True
    """Whether fields may be enclosed in double quotes."""
    escaped: bool = False
    r"""Whether `\"` is a quote inside a quoted field."""
    names: tuple[str, ...] | None = None
    """Names of the columns if they are not in the first line."""
    header: bool = True
    """Whether the first line holds names of columns."""

    @property
    def mark(self) -> str:
        """Return the delimiter in the file that `sources.plain_text.utf8_lines` gives."""
        return self.delimiter if len(self.delimiter) == 1 else UNIT


def form_of(path: Path, settings: FileFormat | None = None, wanted: Sequence[str] = ()) -> Form:
    """Find out how a file is written; settings decide before its content.

    Args:
        path: The file, which may be compressed.
        settings: What is known.
        wanted: Names of columns that are looked for: a first line that holds one is a header.
    """
    with unpacked(path) as file:
        sample = file.read(SAMPLE)
    encoding = (settings and settings.encoding) or next((name for mark, name in MARKS if sample.startswith(mark)), "")
    text = _decoded(sample, encoding or "utf-8", whole=len(sample) < SAMPLE)
    kind = _kind(path, text)
    if kind != "fields":
        return Form(kind, encoding or "utf-8")
    given = settings.delimiter if settings else None
    delimiter = given or delimiter_of(text)
    quoted, escaped = _quotes(text, delimiter)
    first, *others = [*islice(_rows(text, delimiter, quoted), ROWS)] or [[]]
    header = settings.header if settings and settings.header is not None else None
    if header is None:
        header = not first or any(name in first for name in wanted) or not is_data(first, others)
    names = tuple(settings.columns) if settings and settings.columns else None
    if names is None and not header:
        names = tuple(f"column_{place}" for place in range(1, len(first) + 1))
    return Form(kind, encoding or "utf-8", delimiter, quoted, escaped, names, header)


def proposed_encoding(path: Path) -> str | None:
    """Return the encoding to set for a file that is neither UTF-8 nor marked; None if no setting is needed."""
    with unpacked(path) as file:
        content = file.read(2**24)
    if any(content.startswith(mark) for mark, _ in MARKS) or b"\0" in content:
        return None
    for encoding in ("utf-8", "cp1252"):
        try:
            content[: content.rfind(b"\n") + 1 or None].decode(encoding)
        except UnicodeDecodeError:
            continue
        return None if encoding == "utf-8" else encoding
    return "latin-1"


def _decoded(sample: bytes, encoding: str, whole: bool) -> str:
    text = sample.decode(encoding, "replace").removeprefix("\ufeff")
    return text if whole or "\n" not in text else text[: text.rfind("\n") + 1]


def _kind(path: Path, text: str) -> str:
    begin = text.lstrip()
    if re.match(r"\[\s*(\{|\]\s*$)", begin):
        return "JSON array"
    line = begin.split("\n", 1)[0].strip()
    if re.match(r"\{\s*[u]?'", line) and not _is_json(line):
        try:
            return "Python records" if isinstance(ast.literal_eval(line), dict) else "JSON lines"
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            return "JSON lines"
    names = [suffix.lower() for suffix in path.suffixes]
    is_json = re.match(r"\{\s*(\"|\}|$)", line) or ".jsonl" in names or ".ndjson" in names
    return "JSON lines" if is_json else "fields"


def _is_json(line: str) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


def delimiter_of(text: str) -> str:
    """Return the delimiter that gives every line the same number of fields.

    Example:
        >>> delimiter_of("id;title;price\\n1;Heat, the film;1,5\\n"), delimiter_of("1::Heat::a|b\\n2::Alien::c\\n")
        (';', '::')
    """
    widths = {sign: _widths(text, sign) for sign in DELIMITERS}
    evens = {sign: len(found) for sign, found in widths.items() if found and found[0] > 1 and _is_even(found)}
    if widths[","] and widths[","][0] > 1:
        first = next(iter(_rows(text, ",", quoted=True)), [])
        if "," in evens or not evens:
            better = [sign for sign in evens if widths[sign][0] > widths[","][0]]
            # 1;2,5;3 has commas in every line too, but a header has none.
            return better[0] if better and is_data(first, []) else ","
    return next(iter(evens), None) or next((sign for sign in DELIMITERS if (widths[sign] or [1])[0] > 1), ",")


def _widths(text: str, sign: str) -> list[int]:
    return [len(row) for row in islice(_rows(text, sign, quoted=_quotes(text, sign)[0]), ROWS)]


def _is_even(widths: list[int]) -> bool:
    return sum(width == widths[0] for width in widths) >= 0.95 * len(widths)


def _rows(text: str, delimiter: str, quoted: bool) -> list[list[str]]:
    mark = delimiter if len(delimiter) == 1 else UNIT
    lines = islice(io.StringIO(text.replace(delimiter, mark), newline=""), 4 * ROWS)
    reader = csv.reader(lines, delimiter=mark, quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE)
    rows: list[list[str]] = []
    try:
        for row in reader:
            if row:
                rows.append(row)
    except csv.Error:
        pass  # what stands before it is enough to judge by
    return rows


def _quotes(text: str, delimiter: str) -> tuple[bool, bool]:
    r"""Return whether fields are enclosed in quotes, and whether `\"` is a quote inside them.

    Fields between commas are always read with quotes. Elsewhere quotes are plain characters, as in a headline that
    begins with a quotation, unless every quote encloses a whole field.
    """
    if delimiter == "," or '"' not in text:
        return True, False
    if len(delimiter) > 1:
        return False, False
    sign = re.escape(delimiter)
    escaped = re.search(rf'\\"[^"\r\n{sign}]', text) is not None and '\\""' not in text
    lines = islice(io.StringIO(text, newline=""), 4 * ROWS)
    reader = csv.reader(lines, delimiter=delimiter, strict=True, doublequote=True, escapechar="\\" if escaped else None)
    try:
        for _ in islice(reader, ROWS):
            pass
    except csv.Error as error:
        return "unexpected end" in str(error) and _all_enclosed(text, delimiter), escaped
    return _all_enclosed(text, delimiter), escaped


def _all_enclosed(text: str, delimiter: str) -> bool:
    """Return whether some field is enclosed in quotes from end to end."""
    sign = re.escape(delimiter)
    return re.search(rf'(?m)(?:^|{sign})"(?:[^"]|"")*"(?:{sign}|\r?$)', text) is not None


def is_data(first: Sequence[str], others: Sequence[Sequence[str]]) -> bool:
    """Return whether the first line holds values, not names of columns.

    Example:
        >>> is_data(["1", "Toy Story"], []), is_data(["user", "item"], []), is_data(["0", "1", "2"], [])
        (True, False, False)
    """
    if list(first) in ([str(place) for place in range(len(first))], ["", *map(str, range(len(first) - 1))]):
        return False  # a table without names, as pandas writes it
    if list(first) in [list(row) for row in others]:
        return False  # files with headers, one after the other
    cells = [cell.strip() for cell in first]
    if cells and re.fullmatch(r"-?\d+(\.\d+)?", cells[0]):
        return True
    if any(re.fullmatch(DATA, cell, re.DOTALL) and not re.fullmatch(r"(19|20)\d\d", cell) for cell in cells):
        return True
    again = [any(place < len(row) and row[place] == cell for row in others) for place, cell in enumerate(first)]
    return bool(again) and sum(again) * 2 >= len(again) and all(cells)
