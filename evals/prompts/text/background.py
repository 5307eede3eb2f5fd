"""What measures of texts know besides the trial: what each version asks for, facts, and what may be named."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from evals.prompts.text.titles import Titles


@dataclass(frozen=True)
class Past:
    """What a row may name: items of its history, and items that lay in its future."""

    seen: frozenset[str]
    """Items that the user engaged until `as_of`."""
    later: frozenset[str]
    """Items that nobody had engaged until then, or that this user engaged only later."""


@dataclass(frozen=True)
class Background:
    """What measures of texts know besides the trial."""

    asked: Mapping[str, Collection[str]] = field(default_factory=dict)
    """Version -> what it asks for: the fields of its object, or the aspects that its domain lists."""
    objects: frozenset[str] = frozenset()
    """Versions that answer with an object."""
    facts: Mapping[str, str] = field(default_factory=dict)
    """Entity -> what the catalogue says of it; empty where there are no facts."""
    titles: Titles | None = None
    """Finds the items that a text names; None if rows have no history."""
    pasts: Mapping[str, Past] = field(default_factory=dict)
    """Row key -> what it may name; empty if rows have no history."""
