"""The answers: every call of a model, once, under its content key; on disk the moment it comes.

Answers are committed to the table by the thousand, for every commit is a file and thousands of files make reads slow.
Until then they stand in a journal beside it, one line each, so that a killed run loses no answer that has been paid
for: the next writer takes the journal up before it asks anything. A journal that is taken up twice changes nothing, for
keys are content. What a crash of the whole machine can lose are the answers since the last commit, seconds' worth.
"""

import errno
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import date, datetime
from pathlib import Path
from typing import Any

import lance
import orjson
import polars as pl
import pyarrow as pa

from feature_store.database import Store, Writer, quoted
from feature_store.schemas import ANSWERS

TABLE = "answers"
JOURNAL = "answers.journal"
READ_ROWS = 4_096
Row = dict[str, Any]


def known_answers(store: Store) -> dict[str, str | None]:
    """All keys with their error, None where the model answered; those in the journal of a killed run among them."""
    journal = {row["key"]: row["error"] for row in _journalled(store.folder / JOURNAL)}  # first: it may move meanwhile
    table = store.read(TABLE, ANSWERS, columns=["key", "error"])
    return dict(zip(table["key"].to_pylist(), table["error"].to_pylist(), strict=True)) | journal


def read_answers(
    store: Store, keys: Iterable[str], columns: list[str] | None = None, version: int | None = None
) -> pl.DataFrame:
    """Read the answers of some keys from the table, all columns or `key` and some."""
    wanted = pl.DataFrame({"key": sorted(set(keys))}, schema={"key": pl.String})
    table = store.read(TABLE, ANSWERS, columns=columns, version=version)
    return pl.DataFrame(pl.from_arrow(table)).join(wanted, on="key", how="semi")


def scan_answers(store: Store, columns: list[str], model: str, revision: str, adapter: str) -> Iterator[pl.DataFrame]:
    """Read all answers of one model from the table, a few thousand at a time, so that memory does not grow with them.

    Args:
        store: The store.
        columns: Columns to read.
        model: Name of the model.
        revision: Its revision.
        adapter: Name and revision of its adapter; empty = none.
    """
    if not store.has(TABLE):
        return
    where = f"model = {quoted(model)} AND revision = {quoted(revision)} AND adapter = {quoted(adapter)}"
    table = lance.dataset(str(store.path(TABLE)))
    for batch in table.to_batches(columns=columns, filter=where, batch_size=READ_ROWS, batch_readahead=1):
        yield pl.DataFrame(pl.from_arrow(pa.Table.from_batches([batch])))


def write_answers(writer: Writer, rows: list[Row]) -> int:
    """Commit answers, given as one dict a row with the columns of `schemas.ANSWERS`."""
    return writer.upsert(TABLE, pa.Table.from_pylist(rows, schema=ANSWERS), ANSWERS) if rows else 0


class AnswerLog:
    """Takes answers one by one; get one from `answer_log`.

    Args:
        writer: The store's writer.
        file: File descriptor of the journal, open for appending.
        rows: What the journal holds already.
    """

    def __init__(self, writer: Writer, file: int, rows: list[Row]) -> None:
        self._writer, self._file = writer, file
        self._waiting = {row["key"]: row for row in rows}

    def __len__(self) -> int:
        """Number of answers that wait for a commit."""
        return len(self._waiting)

    def append(self, row: Row) -> None:
        """Put an answer on disk: a dict with the columns of `schemas.ANSWERS`.

        Raises:
            OSError: The disk is full.
        """
        self._waiting[row["key"]] = row
        line = orjson.dumps(row) + b"\n"
        if os.write(self._file, line) < len(line):
            raise OSError(errno.ENOSPC, f"the disk is full: {JOURNAL} could not take an answer")

    def commit(self) -> None:
        """Move what waits into the table, then empty the journal; killed in between, the next run does it again."""
        write_answers(self._writer, list(self._waiting.values()))
        os.ftruncate(self._file, 0)
        self._waiting = {}


@contextmanager
def answer_log(writer: Writer) -> Iterator[AnswerLog]:
    """Open the log; first the journal of a killed run is taken up, at the end all that waits is committed."""
    path = writer.store.folder / JOURNAL
    rows = _journalled(path)
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        log = AnswerLog(writer, file, rows)
        log.commit()
        try:
            yield log
        finally:  # an interrupt keeps what has been answered
            log.commit()
    finally:
        os.close(file)


def _journalled(path: Path) -> list[Row]:
    """Read the journal; a last line that was cut off by a kill is no answer."""
    if not path.is_file():
        return []
    rows = [orjson.loads(line) for line in path.read_bytes().split(b"\n")[:-1]]
    return [{**row, **_moments(row)} for row in rows]


def _moments(row: Row) -> Row:
    seen, cutoff = row.get("seen_until"), row.get("knowledge_cutoff")  # an older version's journal knows neither
    return {
        "created_at": datetime.fromisoformat(row["created_at"]),
        "seen_until": datetime.fromisoformat(seen) if seen else None,
        "knowledge_cutoff": date.fromisoformat(cutoff) if cutoff else None,
    }
