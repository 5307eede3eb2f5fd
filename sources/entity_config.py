"""The mapping of the user's tables of items and users, from knowflow.yaml."""

from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator

from base.frozen import Frozen
from sources.file_format import FileFormat

OWN_NAMES = ("item", "title", "user")
"""Columns of the documented tables; no field may have one of these names."""


def _named(value: Any) -> Any:
    """Read a list of columns as a mapping of each to itself."""
    if not isinstance(value, list):
        return value
    if not all(isinstance(name, str) for name in value):
        raise ValueError("should be a list of columns, or `field: column` pairs without dashes")
    return {name: name for name in value}


class LongConfig(Frozen):
    """Columns of a table in long form, which has one property a row: the fields then name properties."""

    name: str
    """Column of the name of a property."""
    value: str
    """Column of its value."""
    time: str | None = None
    """Column of the time since which the value holds. Of several values of a property only the earliest counts, without
    times the first row: a later value could tell a model what happened after the events that it learns from."""


class Fields(FileFormat):
    """Fields of an entity: name -> column, or a list of columns that keep their names."""

    id: str
    """Column of the id."""
    repeated: Literal["refuse", "first"] = "refuse"
    """What is done with an id in several rows. refuse: it is a fault; first: the entity is made from all its rows, of
    each field the first filled value, as for items that are only named in the rows of a file of transactions."""
    long: LongConfig | None = None
    """Columns of names and values, for a table in long form."""
    texts: dict[str, str] = Field(default_factory=dict)
    """Text fields."""
    categories: dict[str, str] = Field(default_factory=dict)
    """Category fields: lists, lists written as text (`['a', 'b']`), or texts split at `separator`."""
    numbers: dict[str, str] = Field(default_factory=dict)
    """Number fields."""
    separator: str = Field(default="|", min_length=1)
    """Separator of the categories in a text."""

    _lists = field_validator("texts", "categories", "numbers", mode="before")(_named)

    @field_validator("long")
    @classmethod
    def _one_row_an_id(cls, long: LongConfig | None, info: ValidationInfo) -> LongConfig | None:
        if long and info.data.get("repeated") == "first":
            raise ValueError("a table in long form repeats every id: leave out `repeated`")
        return long

    @field_validator("texts", "categories", "numbers")
    @classmethod
    def _distinct(cls, fields: dict[str, str], info: ValidationInfo) -> dict[str, str]:
        earlier = [name for kind in ("texts", "categories", "numbers") for name in info.data.get(kind) or ()]
        taken = [name for name in fields if name in OWN_NAMES]
        twice = [name for name in fields if name in earlier]
        words = [f"{name!r} is one of KnowFlow's own columns, give the field another name" for name in taken]
        words += [f"{name!r} is already a field of another kind, give one of them another name" for name in twice]
        if words:
            raise ValueError("; ".join(words))
        return fields

    def mapped(self) -> list[str]:
        """Return the columns, or names of properties, of the id and the fields."""
        return [self.id, *self.texts.values(), *self.categories.values(), *self.numbers.values()]

    def to_read(self) -> list[str]:
        """Return the columns to read of the file."""
        long = self.long
        return self.mapped() if long is None else [self.id, long.name, long.value, *([long.time] if long.time else [])]


class ItemsConfig(Fields):
    """The file of items."""

    title: str | Annotated[tuple[str, ...], Field(min_length=1)]
    """Column with the name of an item in prompts, or a list of columns, of which the first filled one is the name."""

    def mapped(self) -> list[str]:
        """Return the columns, or names of properties, of the id, the title and the fields."""
        return [*self.titles(), *super().mapped()]

    def titles(self) -> tuple[str, ...]:
        """Return the columns of the title, the preferred one first."""
        return (self.title,) if isinstance(self.title, str) else self.title
