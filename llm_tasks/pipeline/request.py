"""Requests and answers, and the key that makes an answer content-addressed."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class ModelIdentity:
    """Which model answers: everything about it that can change an answer."""

    model: str
    """Name or path of the model."""
    revision: str
    """Revision of its weights."""
    adapter: str = ""
    """Name and revision of a LoRA adapter; empty = none."""


@dataclass(frozen=True)
class Request:
    """One call of a model."""

    key: str
    """Answer key; see `answer_key`."""
    messages: tuple[Mapping[str, str], ...]
    """Rendered chat messages."""
    sampling: Mapping[str, Any]
    """Sampling parameters."""
    schema: Mapping[str, Any]
    """Declared form of the answer."""


@dataclass(frozen=True)
class Answer:
    """What came back for one request: a text, or an error with its reason."""

    key: str
    """Key of the request."""
    text: str | None
    """The raw text, exactly as it came; None on an error."""
    error: str | None = None
    """Kind of the error, a word such as `not_recorded`; None when answered."""
    detail: str = ""
    """The error in a sentence."""
    input_tokens: int = 0
    """Tokens of the prompt."""
    output_tokens: int = 0
    """Tokens of the answer."""


def answer_key(
    messages: Sequence[Mapping[str, str]],
    identity: ModelIdentity,
    sampling: Mapping[str, Any],
    schema: Mapping[str, Any],
) -> str:
    """Name an answer by everything that can change it, and by nothing else.

    Never part of it: data set, row id, task, code version. So two tasks with one prompt share the answer, and a
    recorded answer is found by rendering its prompt.

    Returns:
        64 hexadecimal digits (SHA-256 of the canonical JSON).

    Example:
        >>> identity = ModelIdentity("tiny", "1")
        >>> a = answer_key([{"role": "user", "content": "hi"}], identity, {"a": 1, "b": 2}, {})
        >>> b = answer_key([{"content": "hi", "role": "user"}], identity, {"b": 2, "a": 1}, {})
        >>> a == b
        True
    """
    content = {
        "messages": [dict(message) for message in messages],
        "model": identity.model,
        "revision": identity.revision,
        "adapter": identity.adapter,
        "sampling": dict(sampling),
        "schema": dict(schema),
    }
    canonical = json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    # surrogatepass: a broken text has a key too; that it cannot be asked is the plan's error row.
    return hashlib.sha256(canonical.encode("utf-8", errors="surrogatepass")).hexdigest()


def is_utf8(text: str) -> bool:
    """Say whether a text can be written as UTF-8: half of a surrogate pair cannot.

    Example:
        >>> is_utf8("Amélie"), is_utf8(chr(0xD800))
        (True, False)
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
