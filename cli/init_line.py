"""One line of a first knowflow.yaml: a setting, its value as YAML, and the comment beside it."""

import re
from typing import NamedTuple

import yaml
from pydantic import BaseModel


class Line(NamedTuple):
    """One setting in the file."""

    name: str
    """Its name."""
    value: str
    """Its value, as YAML."""
    comment: str = ""
    """The comment beside it."""

    def text(self, indent: str) -> str:
        """Return the line, with its comment at a fixed column."""
        setting = f"{indent}{self.name}: {self.value}"
        comment = "".join(letter if letter.isprintable() else " " for letter in self.comment)
        return f"{setting:42s}   # {comment}" if comment else setting


def defaults(config: type[BaseModel]) -> list[Line]:
    """Return every setting of a section with its default, explained by its docstring."""
    values = {name: field.get_default(call_default_factory=True) for name, field in config.model_fields.items()}
    explained = {name: " ".join((field.description or "").split()) for name, field in config.model_fields.items()}
    return [Line(name, yaml_value(value), explained[name]) for name, value in values.items()]


def yaml_value(value: object) -> str:
    """Write a value on one line of YAML.

    Example:
        >>> yaml_value("list price"), yaml_value("no"), yaml_value((0, 1))
        ('list price', '"no"', '[0, 1]')
    """
    if not isinstance(value, str):
        return yaml.safe_dump(_plain(value), default_flow_style=True, sort_keys=False, width=10**6).splitlines()[0]
    is_plain = re.fullmatch(r"[A-Za-z_./][\w./-]*( [\w./-]+)*", value, re.ASCII) is not None
    if is_plain and yaml.safe_load(value) == value:
        return value
    return yaml.safe_dump(value, default_style='"', allow_unicode=True, width=10**6).strip()


def _plain(value: object) -> object:
    """Convert models to dicts and tuples to lists, at any depth."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    return [_plain(one) for one in value] if isinstance(value, tuple) else value
