"""Read candidates: rewrites of queries from one or several files."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from sources.faults import Fault, SourceFaults
from sources.queries import normalised
from sources.read import read_columns

COLUMNS = ("query", "thought", "rewrites", "answer")
FIX = "give a table with the columns query and rewrites (a list of texts), or query and answer (the model's JSON)"
SCHEMA = {"query": pl.String(), "thought": pl.String(), "rewrite": pl.String(), "place": pl.UInt32()}
"""Columns of a candidate table."""


def read_candidates(paths: Sequence[Path]) -> pl.DataFrame:
    """Read rewrites; those of the first file come first, and repeated ones are dropped.

    Args:
        paths: Parquet or JSONL files with `query` and either `rewrites` (list, best first) and optionally `thought`, or
            `answer`: JSON with the same two fields, like answers of `query_rewrite`.

    Returns:
        One row per candidate: `query` (normalised), `thought` (of its answer, or null), `rewrite` and `place` (0 for
        the first rewrite of a query); sorted by query and place.

    Raises:
        SourceFaults: The files have faults; all are listed at once.
    """
    faults: list[Fault] = []
    found: list[tuple[str, str | None, str]] = []
    for path in paths:
        rows, wrong = _read(path)
        found += rows
        faults += wrong
    if not faults and not found:
        faults = [Fault(path.name, None, None, None, "holds no rewrite", FIX) for path in paths]
    if faults:
        raise SourceFaults(faults)
    return candidate_table(found)


def candidate_table(rows: Iterable[tuple[str, str | None, str]]) -> pl.DataFrame:
    """Make a table of (query, thought, rewrite), without duplicates and without rewrites equal to their query.

    Example:
        >>> table = candidate_table([("Sci-Fi", None, "space"), ("sci-fi", None, "SPACE "), ("sci-fi", None, "Sci-Fi")])
        >>> table.rows()
        [('sci-fi', None, 'space', 0)]
    """
    seen: set[tuple[str, str]] = set()
    kept: list[tuple[str, str | None, str]] = []
    for query, thought, rewrite in rows:
        key = (normalised(query), normalised(rewrite))
        if key in seen or not all(key) or key[0] == key[1]:
            continue
        seen.add(key)
        kept.append((key[0], " ".join(thought.split()) if thought else None, " ".join(rewrite.split())))
    table = pl.DataFrame(kept, {name: kind for name, kind in SCHEMA.items() if name != "place"}, orient="row")
    place = pl.int_range(pl.len(), dtype=pl.UInt32).over("query").alias("place")
    return table.with_columns(place).sort("query", "place")


def _read(path: Path) -> tuple[list[tuple[str, str | None, str]], list[Fault]]:
    if not path.is_file():
        return [], [Fault(str(path), None, None, None, "there is no such file", FIX)]
    raw, faults = read_columns(path, COLUMNS, path.name, "candidates")
    if raw is None:
        return [], faults
    if "query" not in raw.table.columns or not {"rewrites", "answer"} & set(raw.table.columns):
        there = ", ".join(raw.there)
        return [], [Fault(path.name, None, None, None, f"has only the columns {there}", FIX)]
    found: list[tuple[str, str | None, str]] = []
    faults = [Fault(path.name, line, None, None, broken.what, broken.fix) for line, broken in raw.broken]
    for line, row in zip(raw.rows, raw.table.iter_rows(named=True), strict=True):
        if row["query"] is None:
            continue
        said = row if row.get("rewrites") is not None else _answer(row.get("answer"))
        rewrites = said.get("rewrites") if said is not None else None
        if not isinstance(rewrites, list) or not all(isinstance(one, str) for one in rewrites):
            shown = None if row.get("answer") is None else str(row["answer"])
            faults.append(Fault(path.name, line, "rewrites", shown, "is not a list of texts", FIX))
            continue
        thought = said.get("thought") if said is not None else None
        found += [(str(row["query"]), thought if isinstance(thought, str) else None, one) for one in rewrites]
    return found, faults


def _answer(text: Any) -> dict[str, Any] | None:
    try:
        answer = json.loads(text)
    except (TypeError, ValueError):
        return None
    return answer if isinstance(answer, dict) else None
