"""A team's own tests of answers: `kar_item.tests.yaml` beside its prompts says what answers must and must not hold.

- {max_words: 70, not_contains: ["as an AI"]}       # every row of the sample
- {entity: "318", contains: [prison], regex: "199\\d"}   # the row about one entity, asked even if it is not sampled
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field, ValidationError, field_validator

from base.frozen import Frozen
from prompts.faults import unfit
from prompts.library import Library

ENDING = ".tests.yaml"
FORM = "give a list such as - {entity: '318', contains: [prison], max_words: 70}"


class RowTest(Frozen):
    """What the text of an answer must hold."""

    entity: str | None = None
    """Id of the entity; every sampled row if not given."""
    contains: tuple[str, ...] = ()
    """Words or phrases that must stand in it, whatever their case."""
    not_contains: tuple[str, ...] = ()
    """Words or phrases that must not."""
    regex: str | None = None
    """A regular expression that must be found in it."""
    max_words: int | None = Field(default=None, ge=1)
    """The most words, between blanks."""

    @field_validator("entity", mode="before")
    @classmethod
    def _number(cls, value: Any) -> Any:
        return str(value) if isinstance(value, int) and not isinstance(value, bool) else value

    @field_validator("regex")
    @classmethod
    def _compiles(cls, value: str | None) -> str | None:
        try:
            re.compile(value or "")
        except re.error as error:
            raise ValueError(f"is no regular expression: {error}") from None
        return value

    def faults(self, text: str | None, error: str | None = None) -> Iterator[str]:
        """Yield what a text does not hold, in words.

        Args:
            text: The text; None if there is none.
            error: Why there is none.

        Example:
            >>> list(RowTest(contains=("Prison",), max_words=2).faults("a film of a court"))
            ["does not contain 'Prison'", 'has 5 words, more than 2']
        """
        if text is None:
            yield f"has no text: {error}"
            return
        folded = text.casefold()
        yield from (f"does not contain '{one}'" for one in self.contains if one.casefold() not in folded)
        yield from (f"contains '{one}'" for one in self.not_contains if one.casefold() in folded)
        if self.regex is not None and not re.search(self.regex, text):
            yield f"does not match {self.regex}"
        if self.max_words is not None and (words := len(text.split())) > self.max_words:
            yield f"has {words:,} words, more than {self.max_words:,}"


def read_tests(library: Library, task: str) -> tuple[RowTest, ...]:
    """Read the tests of a task's prompt, in a team's own folder of prompts and beside its plug-ins.

    Raises:
        WrongUse: A file is no list of tests.
    """
    folders = [folder for folder in (*library.plugins, library.own) if folder is not None]
    files = [path for folder in folders for path in sorted(folder.rglob(f"{task}{ENDING}"))]
    return tuple(test for path in files for test in _read(path))


def _read(path: Path) -> list[RowTest]:
    try:
        said = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise unfit(path.name, f"is not YAML: {error}", FORM) from None
    if not isinstance(said, list):
        raise unfit(path.name, "is no list of tests", FORM)
    try:
        return [RowTest.model_validate(one) for one in said]
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'a test'}: {e['msg']}" for e in error.errors())
        raise unfit(path.name, faults, FORM) from None
