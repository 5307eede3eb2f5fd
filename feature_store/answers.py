"""Answers: every model call, stored once under its content key and written to disk as soon as it comes.

Answers are committed to the table by the thousand, because every commit is a file and thousands of files slow down
reads. Until then they are in a journal beside the table, one line each, so that a killed run loses no paid answer: the
next writer recovers the journal before it asks anything. Recovering a journal twice changes nothing, because keys are
content hashes; where another machine has answered the same calls since, the better answer stays. A crash of the whole
machine can lose the answers since the last commit, a few seconds' worth.
"""

import errno
import logging
import os
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import orjson
import polars as pl
import pyarrow as pa

from feature_store.damage import reading
from feature_store.database import Store, Writer
from feature_store.schemas import ANSWERS
from feature_store.writer import quoted

LOG = logging.getLogger(__name__)
TABLE = "answers"
JOURNAL = "answers.journal"
READ_ROWS = 4_096
NAMED = 10_000
"""Most keys that a condition names; of more, all answers are read."""
SHOWN_LINES = 10
"""Maximum numbers of damaged lines in a message."""
Row = dict[str, Any]


def stored_answers(store: Store) -> pl.DataFrame:
    """Return key, error (null where the model answered) and created_at of all answers, a killed run's journal too."""
    # The journal first: another process may move its rows to the table meanwhile.
    columns = ["key", "error", "created_at"]
    journal = [{name: row[name] for name in columns} for row in _to_recover(store)]
    table = store.read(TABLE, ANSWERS, columns=columns)
    found = pl.DataFrame(pl.from_arrow(table))
    return (
        pl.concat([found, pl.DataFrame(journal, found.schema)]).unique("key", keep="last", maintain_order=True)
        if journal
        else found
    )


def known_answers(store: Store) -> dict[str, str | None]:
    """Return all keys with their error, None where the model answered; includes the journal of a killed run."""
    return dict(stored_answers(store).select("key", "error").iter_rows())


@dataclass(frozen=True)
class Tried:
    """How often a call was tried that ended in an error."""

    attempts: int
    """Times that it was asked."""
    last: datetime
    """When it was asked last."""


def failed_calls(store: Store) -> dict[str, Tried]:
    """Return how often each key was asked whose answer is an error; includes the journal of a killed run."""
    journal = [row for row in _to_recover(store) if row["error"] is not None]
    columns = ["key", "attempts", "created_at"]
    table = store.read(TABLE, ANSWERS, columns=columns, where="error IS NOT NULL")
    return {row["key"]: Tried(row.get("attempts") or 1, row["created_at"]) for row in [*table.to_pylist(), *journal]}


def read_answers(
    store: Store, keys: Iterable[str], columns: list[str] | None = None, version: int | None = None
) -> pl.DataFrame:
    """Read the answers of some keys from the table; `columns` must include `key`."""
    wanted = pl.DataFrame({"key": sorted(set(keys))}, schema={"key": pl.String})
    table = store.read(TABLE, ANSWERS, columns=columns, version=version)
    return pl.DataFrame(pl.from_arrow(table)).join(wanted, on="key", how="semi")


def scan_answers(
    store: Store, keys: Collection[str], columns: list[str], model: str, revision: str, adapter: str
) -> Iterator[pl.DataFrame]:
    """Read answers of one model from the table, a few thousand at a time, so that memory does not grow with them.

    Args:
        store: The store.
        keys: Keys of the answers.
        columns: Columns to read, `key` among them.
        model: Name of the model.
        revision: Its revision.
        adapter: Name and revision of its adapter; empty = none.
    """
    if not store.has(TABLE) or not keys:
        return
    wanted = pl.DataFrame({"key": list(keys)}, {"key": pl.String})
    where = f"model = {quoted(model)} AND revision = {quoted(revision)} AND adapter = {quoted(adapter)}"
    if len(keys) <= NAMED:  # the texts of all others are not even read
        where += f" AND key IN ({', '.join(map(quoted, keys))})"
    table = store.open(TABLE)
    with reading(store.uri(TABLE)):
        for batch in table.to_batches(columns=columns, filter=where, batch_size=READ_ROWS, batch_readahead=1):
            found = pl.DataFrame(pl.from_arrow(pa.Table.from_batches([batch])))
            yield found.join(wanted, on="key", how="semi", maintain_order="left")


def write_answers(writer: Writer, rows: list[Row]) -> int:
    """Commit answers, one dict per row with the columns of `schemas.ANSWERS`."""
    return writer.upsert(TABLE, pa.Table.from_pylist(rows, schema=ANSWERS), ANSWERS) if rows else 0


class AnswerLog:
    """Stores answers one by one; create it with `answer_log`.

    Args:
        writer: The store's writer.
        file: File descriptor of the journal, open for appending.
        rows: Rows that are already in the journal.
    """

    def __init__(self, writer: Writer, file: int, rows: list[Row]) -> None:
        self._writer, self._file = writer, file
        self._waiting = {row["key"]: row for row in rows}

    def __len__(self) -> int:
        """Return the number of answers waiting for a commit."""
        return len(self._waiting)

    def append(self, row: Row) -> None:
        """Write an answer to disk: a dict with the columns of `schemas.ANSWERS`.

        Raises:
            OSError: The disk is full.
        """
        self._waiting[row["key"]] = row
        line = orjson.dumps(row) + b"\n"
        if os.write(self._file, line) < len(line):
            raise OSError(errno.ENOSPC, f"the disk is full: {JOURNAL} could not take an answer")

    def commit(self) -> None:
        """Move waiting answers to the table, then empty the journal; if killed in between, the next run repeats it."""
        write_answers(self._writer, list(self._waiting.values()))
        os.ftruncate(self._file, 0)
        self._waiting = {}


@contextmanager
def answer_log(writer: Writer) -> Iterator[AnswerLog]:
    """Open the log: recover the journal of a killed run first, and commit all waiting answers at the end."""
    rows = _to_recover(writer.store)
    file = os.open(writer.store.folder / JOURNAL, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        log = AnswerLog(writer, file, rows)
        log.commit()
        try:
            yield log
        finally:  # an interrupt keeps the answers so far
            log.commit()
    finally:
        os.close(file)


def _to_recover(store: Store) -> list[Row]:
    """Return the last row of each key in the journal, unless the table has a better one, as other machines may write.

    A text is better than an error, because it was paid for; of two texts or two errors, the newer one is better.
    """
    rows = {row["key"]: row for row in _journalled(store.folder / JOURNAL)}
    if rows:
        for key, error, made in read_answers(store, rows, ["key", "error", "created_at"]).iter_rows():
            if (error is None, made) > (rows[key]["error"] is None, rows[key]["created_at"]):
                del rows[key]
    return list(rows.values())


def _journalled(path: Path) -> list[Row]:
    """Read the journal; a last line cut off by a kill is ignored, and a damaged one costs only its own answer."""
    lines = list(_lines(path))
    damaged = tuple(number for number, row in lines if row is None)
    if damaged:
        _warn_of_damage(path, damaged)
    return [row for _, row in lines if row is not None]


def journalled(store: Store) -> set[str]:
    """Return the keys of the answers in the journal."""
    return {row["key"] for row in journal_rows(store)}


def journal_rows(store: Store) -> list[Row]:
    """Return the answers in the journal."""
    return _journalled(store.folder / JOURNAL)


def damaged_lines(folder: Path) -> list[int]:
    """Return the numbers of the damaged lines in the journal of a store."""
    return [number for number, row in _lines(folder / JOURNAL) if row is None]


def _lines(path: Path) -> Iterator[tuple[int, Row | None]]:
    if path.is_file():
        for number, line in enumerate(path.read_bytes().split(b"\n")[:-1], start=1):
            yield number, _read_line(line)


@lru_cache(maxsize=64)
def _warn_of_damage(path: Path, lines: tuple[int, ...]) -> None:
    """Warn of damaged lines, once a process: every technique of a plan reads the journal."""
    shown = ", ".join(map(str, lines[:SHOWN_LINES])) + ", ..." * (len(lines) > SHOWN_LINES)
    what = "line is" if len(lines) == 1 else "lines are"
    LOG.warning("%s: %d %s damaged and left out (%s); what they held is asked again", path, len(lines), what, shown)


def _read_line(line: bytes) -> Row | None:
    """Read one line of the journal; None if it is damaged, as lines are that a power cut left."""
    try:
        row = orjson.loads(line)
        return {**row, **_moments(row)} if isinstance(row["key"], str) and "error" in row else None
    except (ValueError, TypeError, KeyError):
        return None


def _moments(row: Row) -> Row:
    seen, cutoff = row.get("seen_until"), row.get("knowledge_cutoff")  # missing in an older version's journal
    return {
        "created_at": datetime.fromisoformat(row["created_at"]),
        "seen_until": datetime.fromisoformat(seen) if seen else None,
        "knowledge_cutoff": date.fromisoformat(cutoff) if cutoff else None,
    }
