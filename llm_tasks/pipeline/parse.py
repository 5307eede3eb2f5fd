"""Parse raw answers for a technique. Raw answers are kept, so a changed parser needs no new call."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from engines.thinking import WAYS_OUT, without_thinking
from prompts.schema import ChoiceSchema, ObjectSchema, ScoresSchema, TextSchema, read_schema

MARKS = " \t\r\n\"'`*.,:;!()[]"
"""Characters that models put around a word."""
Parsed = str | dict[str, Any]
"""A text, or the fields of an object."""


class ParseFault(Exception):
    """An answer does not have its declared form; the text says what is wrong."""


class Parser:
    """Reads answers of one declared form: tolerant of what surrounds the answer, strict about the answer itself.

    Args:
        schema: The prompt's `schema`.

    Raises:
        ParseFault: This version does not support the form.

    Example:
        >>> Parser({"type": "text"})("```\\nA warm film.\\n```")
        'A warm film.'
        >>> Parser({"type": "object", "fields": {"mood": {"type": "text"}}})('Here it is: {"mood": "warm"}')
        {'mood': 'warm'}
    """

    def __init__(self, schema: Mapping[str, Any]) -> None:
        try:
            self._schema = read_schema(schema)
        except ValidationError as error:
            raise ParseFault(f"the schema {dict(schema)} is not known: {_told(error)}") from None
        self._model = self._schema.model() if isinstance(self._schema, ObjectSchema) else None

    def __call__(self, text: str) -> Parsed:
        """Parse one raw answer.

        Returns:
            The text without surrounding whitespace and code fence, the choice as declared, or the object's fields.

        Raises:
            ParseFault: The answer is empty, nothing but thinking, or does not have its form.
        """
        answer = without_thinking(text)  # engines leave it out; older stores and engines of others may hold it
        if answer is None:
            raise ParseFault(f"the answer holds nothing but thinking: {WAYS_OUT}")
        return self._parsed(answer)

    def _parsed(self, text: str) -> Parsed:
        if isinstance(self._schema, TextSchema):
            return _not_empty(_without_fence(text))
        if isinstance(self._schema, ChoiceSchema):
            return one_of(_not_empty(_without_fence(text)), self._schema.choices)
        if isinstance(self._schema, ScoresSchema):
            return _scores(_not_empty(text.strip()), self._schema.candidates)
        return self._object(_not_empty(text.strip()))

    def _object(self, text: str) -> dict[str, Any]:
        assert self._model is not None  # made for objects
        faults: list[str] = []
        for found in _objects(text):
            try:
                return self._model.model_validate(found).model_dump(by_alias=True)
            except ValidationError as error:
                faults.append(_told(error))
        raise ParseFault(faults[0] if faults else "the answer holds no JSON object")


def parse_answer(text: str, schema: Mapping[str, Any]) -> Parsed:
    """Parse one raw answer of a declared form; use `Parser` for many.

    Raises:
        ParseFault: The answer does not have its form, or the form is not supported.
    """
    return Parser(schema)(text)


def _without_fence(text: str) -> str:
    if "```" not in text:
        return text.strip()
    fenced = re.fullmatch(r"\s*```\w*\n(.*?)\n?```\s*", text, flags=re.DOTALL)
    return (fenced[1] if fenced else text).strip()


def _not_empty(text: str) -> str:
    if not text:
        raise ParseFault("the answer is empty")
    return text


def one_of(text: str, choices: Sequence[str]) -> str:
    """Return the declared choice; marks around it and its case are ignored unless choices differ only in these.

    Raises:
        ParseFault: It is none of them.
    """
    found = [choice for choice in choices if choice == text] or [c for c in choices if _bare(c) == _bare(text)]
    if len(found) != 1:
        raise ParseFault(f"'{text[:60]}' is {'more than one' if found else 'none'} of {', '.join(choices)}")
    return found[0]


def _bare(text: str) -> str:
    return text.strip(MARKS).casefold() or text


def _scores(text: str, candidates: tuple[str, ...]) -> dict[str, float]:
    """Read the log-probability of each candidate, all finite and none above 0."""
    found = next(_objects(text), None)
    if found is None or set(found) != set(candidates):
        raise ParseFault(f"the answer does not score exactly {', '.join(candidates)}")
    wrong = [name for name, value in found.items() if not _is_log_probability(value)]
    if wrong:
        raise ParseFault(f"the score of {wrong[0]} is no log-probability: {found[wrong[0]]}")
    return {name: float(found[name]) for name in candidates}


def _is_log_probability(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and -1e9 < value <= 0


def _objects(text: str) -> Iterator[dict[str, Any]]:
    """Yield all JSON objects in a text that are not inside one another."""
    decoder, place = json.JSONDecoder(strict=False), text.find("{")  # strict=False: line breaks inside strings
    while place >= 0:
        try:
            found, end = decoder.raw_decode(text, place)
        except (ValueError, RecursionError):
            place = text.find("{", place + 1)
            continue
        yield found
        place = text.find("{", end)


def _told(error: ValidationError) -> str:
    return "; ".join(f"{'.'.join(map(str, e['loc'])) or 'the form'}: {e['msg']}" for e in error.errors()[:3])
