"""Lists written as text: `["Action", "Indie"]` as JSON writes it, `['Action', 'Indie']` as Python does."""

import ast
from typing import Any

import polars as pl

LIST = r"(?s)^\s*\[.*\]\s*$"


def as_lists(column: pl.Series) -> pl.Series | None:
    """Read texts as lists if all filled ones are lists of single values; return None if one is not.

    Example:
        >>> as_lists(pl.Series(["['a', 'b']", None, "[8]"])).to_list()
        [['a', 'b'], None, ['8']]
        >>> as_lists(pl.Series(["[REC]", "['a']"])) is None
        True
    """
    if column.dtype != pl.String or column.null_count() == len(column) or not column.str.contains(LIST).all():
        return None
    try:
        return column.str.json_decode(pl.List(pl.String))
    except pl.exceptions.PolarsError:
        pass  # not JSON: perhaps Python
    texts = column.drop_nulls().unique()
    read = {text: _python_list(text) for text in texts}
    if None in read.values():
        return None
    return pl.Series(column.name, [None if text is None else read[text] for text in column], pl.List(pl.String))


def _python_list(text: str) -> list[str] | None:
    try:
        parts: Any = ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return None
    single = isinstance(parts, list) and all(part is None or isinstance(part, str | int | float) for part in parts)
    return [_shown(part) for part in parts if part is not None] if single else None


def _shown(part: object) -> str:
    return str(part).lower() if isinstance(part, bool) else str(part)
