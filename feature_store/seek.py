"""Search every file of a folder for users: the bytes of all files, and the cells of all tables whatever their encoding.

A table is stored compressed, so that a text in it may be no bytes in a file: every file of a LanceDB table is read row
by row, also the rows that no version shows any more. An id of fewer bytes than `needles.LEAST_ID`, such as 7, is bytes
of nearly any file: it is searched in the cells and entries that name users. Texts are searched everywhere.
"""

import json
import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl
from lance.file import LanceFileReader

from feature_store.cleaned import Cleaner
from feature_store.releases import TABLE as RELEASES_TABLE
from feature_store.scrub import WHO, Scrubber
from feature_store.traces import Traces

TEXTS = (".html", ".log", ".txt")
"""Endings of files of words, in which a user may be named by a short id in a form that nothing else has."""


@dataclass(frozen=True)
class Found:
    """A file that holds something of a user."""

    file: str
    """The file, relative to the folder."""
    where: str
    """bytes, words, entries or rows."""


@dataclass(frozen=True)
class Search:
    """What a search looked at and found."""

    files: int
    """Files whose bytes were searched."""
    size: int
    """Bytes of these files."""
    rows: int
    """Rows of tables that were read."""
    texts: int
    """Texts that were searched for."""
    ids: int
    """Ids that were searched for as bytes; the others are too short for that."""
    found: tuple[Found, ...]
    """What was found."""


def search_folder(folder: Path, traces: Traces, without: tuple[Path, ...] = ()) -> Search:
    """Search all files of a folder.

    Args:
        folder: The folder, such as the home of a store.
        traces: Whom and what to search for.
        without: Folders that are left out.
    """
    scrub, files, size, rows = Scrubber(traces.users, traces.needles), 0, 0, 0
    found: list[Found] = []
    for file in sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()):
        if any(file.is_relative_to(left) for left in without):
            continue
        name = file.relative_to(folder).as_posix()
        files, size = files + 1, size + file.stat().st_size
        if holds_bytes(file, traces) or traces.needles.hit(name):
            found.append(Found(name, "bytes"))
        for count, hit in _read(file, traces, scrub):
            rows += count
            if hit:
                where = "words" if file.suffix in TEXTS else "entries" if file.suffix.startswith(".json") else "rows"
                found.append(Found(name, where))
    return Search(files, size, rows, len(traces.needles.texts), len(traces.needles.ids), tuple(found))


def holds_bytes(file: Path, traces: Traces) -> bool:
    """Return whether the bytes of a file hold what is searched for."""
    pattern = traces.needles.bytes_pattern
    if pattern is None or not file.stat().st_size:
        return False
    with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return pattern.search(content) is not None  # pyright: ignore[reportArgumentType] - a map is a buffer of bytes


def _read(file: Path, traces: Traces, scrub: Scrubber) -> Iterator[tuple[int, bool]]:
    """Yield the number of rows, or of JSON documents, of a file that has any, and whether one is about a user."""
    if file.suffix == ".lance" and file.parent.name == "data":
        rows = pl.DataFrame(pl.from_arrow(LanceFileReader(str(file)).read_all().to_table()))
        yield len(rows), not _stay(file.parents[1].stem, rows, traces, scrub)
    elif file.suffix == ".parquet":
        rows = pl.read_parquet(file)
        yield len(rows), not kept_rows(rows, scrub).all()
    elif file.suffix in TEXTS:
        text = file.read_text(encoding="utf-8", errors="replace")
        yield 0, scrub.text(text) != text
    elif file.suffix in (".json", ".jsonl"):
        yield 0, any(scrub(one) != one for one in documents(file))


def _stay(table: str, rows: pl.DataFrame, traces: Traces, scrub: Scrubber) -> bool:
    if table != RELEASES_TABLE:
        return bool(Cleaner(traces)(table, rows).all())
    facts = [json.loads(one) for one in rows["facts"]] if "facts" in rows.columns else []
    return all(scrub(one) == one for one in facts)


def kept_rows(rows: pl.DataFrame, scrub: Scrubber) -> pl.Series:
    """Return which rows of a table outside the store are about nobody of the users: [n] Boolean."""
    gone = pl.repeat(False, len(rows), dtype=pl.Boolean, eager=True)
    for column, kind in rows.schema.items():
        if kind == pl.String:
            gone |= scrub.needles.hits(rows[column])
            if column in WHO:
                gone |= pl.Series([scrub.is_one(one) for one in rows[column]], dtype=pl.Boolean)
    return ~gone


def documents(file: Path) -> list:
    """Return the documents of a file of JSON, or of one a line; none if it is something else."""
    text = file.read_text(encoding="utf-8", errors="replace")
    try:
        return [json.loads(one) for one in (text.splitlines() if file.suffix == ".jsonl" else [text]) if one.strip()]
    except ValueError:
        return []
