"""How a text file is written: the settings of a section, and what is found out where they are left out."""

from pydantic import Field

from base.frozen import Frozen


class FileFormat(Frozen):
    """The path of a table, and how its text is written; what is left out is found out from the file's beginning."""

    path: str
    """File, folder or pattern of parts (`logs/*.csv`), relative to knowflow.yaml: Parquet, or text of any suffix (CSV
    with any delimiter, JSON lines, a JSON array of objects, Python records), plain or packed (gz, bz2, xz, zst, or a
    zip of one file)."""
    delimiter: str | None = Field(default=None, min_length=1)
    """What separates the fields of a line, such as `;` or `"\\t"` or `"::"`; with `;` a comma is a decimal comma."""
    encoding: str | None = None
    """How characters are stored, such as cp1252 or utf-16; UTF-8 unless the file has a mark that says otherwise."""
    header: bool | None = None
    """Whether the first line holds the names of the columns; columns without names are column_1, column_2, ..."""
    columns: tuple[str, ...] = ()
    """Names of the columns, in their order, instead of those in the file."""
