"""From the raw answer to the text a technique works with. The raw answer is kept, so a changed parser asks nothing."""

import re
from collections.abc import Mapping
from typing import Any


class ParseFault(Exception):
    """An answer does not have its declared form; the text says what is wrong."""


def parse_answer(text: str, schema: Mapping[str, Any]) -> str:
    """Check an answer against its declared form.

    Args:
        text: The raw answer.
        schema: The prompt's `schema`; `{type: text}` takes any text that is not empty.

    Returns:
        The answer without surrounding white space and code fences.

    Raises:
        ParseFault: The answer is empty, or the form is one this version does not know.

    Example:
        >>> parse_answer("```\\nA warm film.\\n```", {"type": "text"})
        'A warm film.'
    """
    if schema.get("type") != "text":
        raise ParseFault(f"the schema {dict(schema)} is not known; use {{type: text}}")
    fenced = re.fullmatch(r"\s*```\w*\n(.*?)\n?```\s*", text, flags=re.DOTALL)
    parsed = (fenced[1] if fenced else text).strip()
    if not parsed:
        raise ParseFault("the answer is empty")
    return parsed
