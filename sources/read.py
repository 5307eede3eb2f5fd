"""Read only the mapped columns of files, and report everything that is wrong with a file as a fault."""

import glob
import json
import zipfile
from collections.abc import Sequence
from pathlib import Path

import polars as pl
import pyarrow as pa

from sources.faults import Fault
from sources.file_format import FileFormat
from sources.nested import columns_at, paths
from sources.plain_text import NoSingleFile, utf8_lines
from sources.raw import Raw, known, numbered
from sources.read_csv import read_fields
from sources.read_json import read_jsonl
from sources.records import Broken
from sources.sniff import form_of

UNREADABLE = (
    *(".xlsx", ".xls", ".ods", ".numbers", ".feather", ".arrow", ".avro", ".orc", ".rds", ".rdata", ".mat", ".pdf"),
    *(".pkl", ".pickle", ".npy", ".npz", ".h5", ".hdf5", ".db", ".sqlite", ".html", ".xml", ".docx", ".tar", ".tgz"),
)
"""Suffixes of files that are no text with a table."""
NO_ROWS = Broken("holds no rows", "use a file with data")
NO_FILE = "there is no such file"


def read_columns(
    path: Path, columns: Sequence[str], name: str, section: str, settings: FileFormat | None = None
) -> tuple[Raw | None, list[Fault]]:
    """Read some columns of a file, with the row of each value.

    Args:
        path: Parquet or text file, a folder of such files, or a pattern of their names.
        columns: Columns to read; missing ones are ignored. CSV columns are read as text, so a wrong value has a line.
        name: Name of the file in messages.
        section: Section of knowflow.yaml that names the file, for messages.
        settings: How the text is written, as far as it is known.

    Returns:
        The content, or None and the faults of the file as a whole.
    """
    wanted = list(dict.fromkeys(columns))
    parts = parts_of(path)
    if not parts:
        raw = Broken(NO_FILE, f"fix {section}.path in knowflow.yaml")
    elif parts == [path]:
        raw = _whole(path, wanted, settings)
    else:
        raw = _together(parts, wanted, settings)
    if isinstance(raw, Broken):
        return None, [Fault(name, None, None, None, raw.what, raw.fix)]
    return raw, []


def parts_of(path: Path) -> list[Path]:
    """Return the files that a path means: itself, those of a folder, or those that a pattern fits.

    Hidden files and files such as `_SUCCESS` are not parts; a folder that holds only folders means their files.
    """
    if path.is_file():
        return [path]
    if path.is_dir():
        found = [one for one in path.iterdir() if one.is_file()] or [one for one in path.rglob("*") if one.is_file()]
    elif glob.has_magic(str(path)):
        found = [Path(one) for one in glob.glob(str(path)) if Path(one).is_file()]
    else:
        return []
    return sorted(one for one in found if not one.name.startswith((".", "_")))


def _together(parts: list[Path], wanted: list[str], settings: FileFormat | None) -> Raw | Broken:
    """Read files of one schema as one table; a row is that of its part."""
    found = [(part.name, _whole(part, wanted, settings)) for part in parts]
    for name, raw in found:
        if isinstance(raw, Broken) and raw is not NO_ROWS:
            return Broken(f"{name} {raw.what}", raw.fix)
    raws = [(name, raw) for name, raw in found if isinstance(raw, Raw)]
    if not raws:
        return NO_ROWS
    first_name, first = raws[0]
    for name, raw in raws:
        if lost := sorted(set(known(wanted, raw.there)) ^ set(known(wanted, first.there))):
            what = f"{name} and {first_name} differ: only one of them has {lost[0]!r}"
            return Broken(what, "give every part the same columns, or name the parts by a pattern such as logs/*.csv")
    spoiled = {column: why for _, raw in raws for column, why in raw.spoiled.items()}
    try:
        # By name and as series: polars takes a name such as ^.*$ for a pattern.
        columns = [[one for one in raw.table.get_columns() if one.name not in spoiled] for _, raw in raws]
        tables = [pl.DataFrame({one.name: one for one in of_part}) for of_part in columns]
        table = pl.concat(tables, how="vertical_relaxed")
    except pl.exceptions.PolarsError as error:
        return Broken(f"has parts of other types: {str(error).splitlines()[0]}", "give a column one type in all parts")
    return Raw(
        table,
        pl.concat([raw.rows for _, raw in raws]),
        tuple(dict.fromkeys(column for _, raw in raws for column in raw.there)),
        tuple((line, Broken(f"of {name} {why.what}", why.fix)) for name, raw in raws for line, why in raw.broken),
        spoiled,
        any(raw.decimal_comma for _, raw in raws),
        tuple((name, len(raw.rows)) for name, raw in raws),
    )


def _whole(path: Path, wanted: list[str], settings: FileFormat | None) -> Raw | Broken:
    if path.suffix.lower() in UNREADABLE:
        return Broken(f"'{path.suffix}' is not a supported file type", "use a .parquet, .csv or .jsonl file")
    kind = "Parquet" if is_parquet(path) else "text"
    try:
        if path.stat().st_size == 0:
            return NO_ROWS
        if kind == "Parquet":
            raw = _parquet(path, wanted)
        else:
            form = form_of(path, settings, wanted)
            kind = "CSV" if form.kind == "fields" else "JSONL"
            with utf8_lines(path, form.encoding, form.kind, form.delimiter) as lines:
                raw = read_fields(lines, wanted, form) if form.kind == "fields" else read_jsonl(lines, wanted)
    except NoSingleFile as error:
        return Broken(str(error), "unpack it, and name the one with the table")
    except (LookupError, json.JSONDecodeError, EOFError, zipfile.BadZipFile) as error:
        return Broken(f"cannot be read as {kind}: {error}", "fix or replace the file, or its `encoding:`")
    except (pl.exceptions.PolarsError, pa.ArrowException, OSError, UnicodeError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        return Broken(f"cannot be read as {kind}: {reason}", "fix or replace the file")
    return NO_ROWS if isinstance(raw, Raw) and raw.rows.is_empty() and not raw.broken else raw


def is_parquet(path: Path) -> bool:
    """Return whether a file is Parquet, by its suffix or its first bytes."""
    if path.suffix.lower() == ".parquet":
        return True
    with path.open("rb") as file:
        return file.read(4) == b"PAR1"


def _parquet(path: Path, wanted: list[str]) -> Raw:
    lazy = pl.scan_parquet(path, glob=False, hive_partitioning=False)
    schema = lazy.collect_schema()
    there = paths(schema, wanted)
    table = lazy.select(columns_at(schema, known(wanted, there)) or pl.nth(0)).collect()
    return Raw(table, numbered(1, len(table)), there)
