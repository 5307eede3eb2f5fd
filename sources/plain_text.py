"""Give any text file as plain UTF-8 lines: unpacked, in one encoding, with delimiters of one character."""

import ast
import bz2
import codecs
import gzip
import io
import json
import lzma
import shutil
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO, cast

import pyarrow as pa

UNIT = "\x1f"
"""Replaces a delimiter of several characters."""
MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
"""Marks at the beginning of a file -> its encoding."""


class NoSingleFile(OSError):
    """An archive holds several files, or none."""


@contextmanager
def unpacked(path: Path) -> Iterator[BinaryIO]:
    """Open a file; a compressed one, known by its first bytes, is unpacked while it is read.

    Raises:
        NoSingleFile: A zip archive does not hold exactly one file.
    """
    with path.open("rb") as file:
        begin = file.read(6)
    with _opened(path, begin) as opened:
        yield opened


def _opened(path: Path, begin: bytes) -> BinaryIO:
    if begin.startswith(b"PK\x03\x04"):
        archive = zipfile.ZipFile(path)
        members = [one for one in archive.infolist() if not one.is_dir() and not one.filename.startswith("__MACOSX/")]
        if len(members) != 1:
            raise NoSingleFile(f"the archive holds {len(members)} files")
        return cast("BinaryIO", archive.open(members[0]))
    if begin.startswith(b"\x28\xb5\x2f\xfd"):
        return cast("BinaryIO", io.BufferedReader(cast("io.RawIOBase", pa.CompressedInputStream(str(path), "zstd"))))
    kinds = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ": lzma.open}
    opener = next((one for mark, one in kinds.items() if begin.startswith(mark)), open)
    return cast("BinaryIO", opener(path, "rb"))


def is_packed(begin: bytes) -> bool:
    """Return whether the first bytes are those of a compressed file."""
    return begin.startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd", b"PK\x03\x04"))


@contextmanager
def utf8_lines(path: Path, encoding: str, kind: str, delimiter: str) -> Iterator[Path]:
    """Give a file as UTF-8 text with the same lines: the file itself if it is that already, else a temporary copy.

    Args:
        path: The file.
        encoding: Its encoding.
        kind: `fields`, `JSON lines`, `JSON array` or `Python records`; the last two become JSON lines.
        delimiter: What separates fields; one of several characters becomes `UNIT`.
    """
    with path.open("rb") as file:
        packed = is_packed(file.read(6))
    is_utf8 = codecs.lookup(encoding).name in ("utf-8", "ascii", "utf-8-sig")
    rewritten = kind in ("JSON array", "Python records") or (kind == "fields" and len(delimiter) > 1)
    if is_utf8 and not packed and not rewritten:
        yield path
        return
    with TemporaryDirectory() as folder:
        copy = Path(folder) / "lines"
        with unpacked(path) as source, copy.open("wb") as target:
            if is_utf8 and not rewritten:
                shutil.copyfileobj(source, target, 2**22)
            else:
                _rewrite(source, target, encoding, kind, delimiter)
        yield copy


def _rewrite(source: BinaryIO, target: BinaryIO, encoding: str, kind: str, delimiter: str) -> None:
    coding = "utf-8-sig" if codecs.lookup(encoding).name == "utf-8" else encoding
    text = io.TextIOWrapper(source, encoding=coding, errors="surrogateescape", newline="")
    if kind == "JSON array":
        lines: Iterator[str] = (json.dumps(one) + "\n" for one in json.load(text))
    elif kind == "Python records":
        lines = (_as_json(line) for line in text)
    elif kind == "fields" and len(delimiter) > 1:
        lines = (line.replace(delimiter, UNIT) for line in text)
    else:
        lines = iter(text)
    for line in lines:
        target.write(line.encode("utf-8", "surrogateescape"))


def _as_json(line: str) -> str:
    """Return a line with a Python record as JSON; one that is none stays as it is and is reported when it is read."""
    try:
        return json.dumps(ast.literal_eval(line.strip()), default=str) + "\n"
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return line
