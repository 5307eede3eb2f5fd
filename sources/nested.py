"""Fields inside objects, named by a dotted path: `brand.name` of a struct, `images.large` of a list of structs."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import polars as pl
import polars.selectors as cs

MOST = 50
"""Maximum fields of one column that are listed; one with more is a dictionary whose keys are data, not columns."""


def paths(schema: Mapping[str, pl.DataType], wanted: Sequence[str] = ()) -> tuple[str, ...]:
    """Return the names of all columns, those of structs as the paths of their fields.

    Args:
        schema: Name and type of each column.
        wanted: Names to add if they can be read, though they are not listed: a struct itself, or one of many fields.

    Example:
        >>> paths({"id": pl.Int64(), "brand": pl.Struct({"name": pl.String(), "land": pl.String()})})
        ('id', 'brand.name', 'brand.land')
    """
    listed: dict[str, None] = {}
    for name, kind in schema.items():
        below = list(_below(name, kind))
        listed |= dict.fromkeys(below if len(below) <= MOST else [name])
    return (*listed, *(name for name in dict.fromkeys(wanted) if name not in listed and _there(schema, name)))


def _below(name: str, kind: pl.DataType) -> Iterator[str]:
    inner = _part(kind)
    if not isinstance(inner, pl.Struct) or not inner.fields:
        yield name
        return
    for field in inner.fields:
        yield from _below(f"{name}.{field.name}", _kind(field.dtype))


def _there(schema: Mapping[str, pl.DataType], path: str) -> bool:
    return column_at(schema, path) is not None


def column_at(schema: Mapping[str, pl.DataType], path: str) -> pl.Expr | None:
    """Return how to read the column that a path names, under the name of the path; None if there is none.

    A name that holds dots itself goes before a path. Fields of objects in a list become a list.
    """
    for name, rest in _splits(path.split(".")):
        if name in schema:
            found = _inside(cs.by_name(name).as_expr(), schema[name], rest)
            if found:
                return found[0].alias(path)
    return None


def _inside(column: pl.Expr, kind: pl.DataType, rest: Sequence[str]) -> tuple[pl.Expr, pl.DataType] | None:
    if not rest:
        return column, kind
    if isinstance(kind, pl.List | pl.Array):
        found = _inside(pl.element(), _kind(kind.inner), rest)
        if found is None:
            return None
        part, inner = found
        lists = column.arr.to_list() if isinstance(kind, pl.Array) else column
        part = part.explode() if isinstance(inner, pl.List | pl.Array) else part
        return lists.list.eval(part), pl.List(_part(inner))
    fields = {field.name: _kind(field.dtype) for field in kind.fields} if isinstance(kind, pl.Struct) else {}
    for name, more in _splits(rest):
        if name in fields:
            found = _inside(_field(column, list(fields), name), fields[name], more)
            if found:
                return found
    return None


def _field(column: pl.Expr, fields: list[str], name: str) -> pl.Expr:
    """Read a field by its place, because polars takes some names for patterns, such as `*`."""
    places = [str(place) for place in range(len(fields))]
    return column.struct.rename_fields(places).struct.field(str(fields.index(name)))


def columns_at(schema: Mapping[str, pl.DataType], wanted: Sequence[str]) -> list[pl.Expr]:
    """Return how to read each column that a path names; those that are not there are left out."""
    return [found for path in wanted if (found := column_at(schema, path)) is not None]


def beginnings(path: str) -> list[str]:
    """Return the names of the columns in which a path may be, besides its own.

    Example:
        >>> beginnings("brand.name.short")
        ['brand.name', 'brand']
    """
    return [name for name, rest in _splits(path.split(".")) if rest]


def _splits(parts: Sequence[str]) -> Iterator[tuple[str, Sequence[str]]]:
    """Yield each beginning of a path as one name, and what follows; the longest first."""
    for end in range(len(parts), 0, -1):
        yield ".".join(parts[:end]), parts[end:]


def _part(kind: pl.DataType) -> pl.DataType:
    """Return the type of the parts of a list, however deep; of another type itself."""
    return _part(_kind(kind.inner)) if isinstance(kind, pl.List | pl.Array) else kind


def _kind(kind: Any) -> pl.DataType:
    return kind() if isinstance(kind, type) else kind


class Missing:
    """Stands for a field that a record does not have; `MISSING` is the one."""


MISSING = Missing()


def value_at(record: Mapping[str, Any], path: str) -> Any:
    """Return the value in a record that a path names, or `MISSING`.

    Example:
        >>> value_at({"brand": {"name": "Acme"}, "images": [{"large": "a"}, {"large": "b"}]}, "images.large")
        ['a', 'b']
    """
    return _value(record, path.split("."))


def _value(value: Any, rest: Sequence[str]) -> Any:
    if not rest:
        return value
    if isinstance(value, list):
        found = [_value(part, rest) for part in value]
        if found and all(part is MISSING for part in found):
            return MISSING
        each = [None if part is MISSING else part for part in found]
        return [one for part in each for one in (part if isinstance(part, list) else [part])]
    if isinstance(value, dict):
        below = (_value(value[name], more) for name, more in _splits(rest) if name in value)
        return next((one for one in below if one is not MISSING), MISSING)
    return MISSING


class Paths:
    """Collects the names of the columns of records, those of objects as the paths of their fields.

    Example:
        >>> found = Paths()
        >>> for record in [{"id": 1, "brand": None}, {"id": 2, "brand": {"name": "Acme"}}]:
        ...     found.add(record)
        >>> found.names()
        ('id', 'brand.name')
    """

    def __init__(self) -> None:
        self._of: dict[str, dict[str, bool]] = {}

    def add(self, record: Mapping[str, Any]) -> None:
        """Add the columns of one record."""
        for name, value in record.items():
            known = self._of.setdefault(name, {})
            for path, is_filled in _paths_in(name, value):
                known[path] = known.get(path, False) or is_filled

    def names(self) -> tuple[str, ...]:
        """Return all names, in the order in which they were met; an empty object is no column beside a full one."""
        found: dict[str, None] = {}
        for name, known in self._of.items():
            paths = [path for path, is_filled in known.items() if is_filled or not _has_inner(known, path)]
            found |= dict.fromkeys(paths if len(paths) <= MOST else [name])
        return tuple(found)

    def has(self, name: str) -> bool:
        """Return whether a record has a field of this very name."""
        return name in self._of


def _paths_in(name: str, value: Any) -> Iterator[tuple[str, bool]]:
    if isinstance(value, dict) and value:
        for key, one in value.items():
            yield from _paths_in(f"{name}.{key}", one)
    elif isinstance(value, list) and any(isinstance(one, dict | list) for one in value):
        for one in value:
            yield from _paths_in(name, one)
    else:
        yield name, value is not None and value not in ([], {})


def _has_inner(paths: Mapping[str, bool], name: str) -> bool:
    return any(path.startswith(f"{name}.") for path in paths)
