"""A trial: the answers of several versions of a prompt about the same sampled rows, and what was measured on them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

FACTS = "facts"
"""The control of every measure of worth: the same rows described by the catalogue alone."""


@dataclass(frozen=True)
class TrialRow:
    """One row of the sample, the same for every version."""

    row: str
    """Row key: task, entity and as_of."""
    entity: str
    """Id of the item, user, query or event."""
    as_of: datetime
    """The newest event that the prompt may show."""
    stratum: str
    """The stratum that it was drawn from, in words: `cold`, `few events`, ..."""
    variables: Mapping[str, Any] = field(repr=False)
    """What the prompt shows."""


@dataclass(frozen=True)
class TrialAnswer:
    """The answer of one version about one row."""

    key: str
    """Key of the answer."""
    raw: str | None
    """The answer as it came; None on an error of the call."""
    text: str | None
    """The text to encode; None if there is none."""
    fields: Any
    """The parsed answer: a text, or the fields of an object; None if it could not be parsed."""
    error: str | None
    """Kind of error and what it was (`parse: ...`, `refused: ...`); None if there is a text."""
    finish: str | None
    """Why the answer ended, as the engine said: `length` if it was cut off."""
    input_tokens: int
    """Tokens of its prompt."""
    output_tokens: int
    """Tokens of the answer."""


@dataclass(frozen=True)
class Trial:
    """Several versions of a prompt, asked about the same rows."""

    task: str
    """The technique."""
    entity: str
    """What a row is about: item, user, query, event, or a kind that answers create."""
    versions: tuple[str, ...]
    """Names of the versions, such as `kar_item.v1`; the first one is the one that others are compared with."""
    rows: tuple[TrialRow, ...]
    """The sample."""
    answers: Mapping[str, Sequence[TrialAnswer]]
    """Version -> its answers, in the order of the rows."""

    def texts(self, version: str) -> list[str | None]:
        """Return the texts of a version, in the order of the rows."""
        return [answer.text for answer in self.answers[version]]


@dataclass(frozen=True)
class Figure:
    """One number with its interval."""

    mean: float | None
    """The number; None if it is not defined."""
    low: float | None = None
    """Lower end of the 95% interval; None if there is none."""
    high: float | None = None
    """Upper end of the interval."""
    rows: int = 0
    """Number of rows, users or items behind it."""
    why: str = ""
    """Why there is no number or no interval."""
    p: float | None = None
    """For a difference: how often chance alone gives one at least as large; None if that was not computed."""


@dataclass(frozen=True)
class Measured:
    """One measure of all versions."""

    name: str
    """Its name, as `--fail-under` uses it: `probe`."""
    about: str
    """What it says, in one sentence for a reader of the page."""
    kind: Literal["text", "judge", "worth", "cost"]
    """Its section on the page."""
    better: Literal["higher", "lower", "neither"]
    """Which direction is better."""
    figures: Mapping[str, Figure]
    """Version, or `facts` -> its figure."""
    against: Mapping[str, Mapping[str, Figure]] = field(default_factory=dict)
    """Version -> other version or `facts` -> their difference: this one minus the other."""
    by_row: Mapping[str, Sequence[float | None]] = field(default_factory=dict, repr=False)
    """Version -> its value for each row of the trial, where the measure has one a row."""
