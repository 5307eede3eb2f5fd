"""Requests and answers, and the content key of an answer."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import orjson


@dataclass(frozen=True)
class ModelIdentity:
    """Which model answers: everything about it that can change an answer."""

    model: str
    """Name or path of the model."""
    revision: str
    """Revision of its weights."""
    adapter: str = ""
    """Name and revision of a LoRA adapter; empty = none."""
    seen_until: datetime | None = None
    """Time of the newest event that model or adapter was tuned on; None = none. Not part of any key."""


@dataclass(frozen=True)
class Adapter:
    """A LoRA adapter."""

    name: str
    """Its name."""
    revision: str
    """Its revision."""
    path: str
    """Absolute path of its folder; not part of any key."""
    seen_until: datetime | None = None
    """Time of the newest event that it was tuned on; None = none. Not part of any key."""


@dataclass(frozen=True, slots=True)
class Request:
    """One call to a model."""

    key: str
    """Answer key; see `answer_key`."""
    messages: tuple[Mapping[str, str], ...]
    """Rendered chat messages."""
    sampling: Mapping[str, Any]
    """Sampling parameters."""
    schema: Mapping[str, Any]
    """Declared form of the answer."""
    adapter: Adapter | None = None
    """LoRA adapter to answer with; None = the plain model."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The result of one request: a text, or an error with its reason."""

    key: str
    """Key of the request."""
    text: str | None
    """The raw text, without what the model thought before it; None on an error."""
    error: str | None = None
    """Kind of the error, a word such as `not_recorded`; None if answered."""
    detail: str = ""
    """The error in a sentence."""
    input_tokens: int = 0
    """Tokens of the prompt."""
    output_tokens: int = 0
    """Tokens of the answer."""
    cached_tokens: int = 0
    """Tokens of the prompt that the engine had computed before (prefix cache), included in `input_tokens`."""
    finish: str = ""
    """How the answer ended: `stop`, `length` if it was cut off at the maximum of tokens, or empty if not known."""
    answered_by: str = ""
    """The model that the server says answered; empty if it does not say."""


def answer_key(
    messages: Sequence[Mapping[str, str]],
    identity: ModelIdentity,
    sampling: Mapping[str, Any],
    schema: Mapping[str, Any],
) -> str:
    """Return the key of an answer, made from everything that can change it and nothing else.

    It does not include the data set, row id, task or code version. So two tasks with the same prompt share the answer,
    and a recorded answer is found by rendering its prompt.

    Returns:
        64 hexadecimal digits (SHA-256 of the canonical JSON).

    Example:
        >>> identity = ModelIdentity("tiny", "1")
        >>> a = answer_key([{"role": "user", "content": "hi"}], identity, {"a": 1, "b": 2}, {})
        >>> b = answer_key([{"content": "hi", "role": "user"}], identity, {"b": 2, "a": 1}, {})
        >>> a == b
        True
    """
    return AnswerKeys(identity, sampling, schema).key(messages_json(messages))


def candidates_of(request: Request, identity: ModelIdentity, number: int) -> tuple[Request, ...]:
    """Return a request and copies with further seeds, 1, 2, ..., so that each of `number` answers has its own key."""
    more, first = [], request.sampling.get("seed", 0)
    for seed in range(first + 1, first + number):
        sampling = {**request.sampling, "seed": seed}
        key = answer_key(request.messages, identity, sampling, request.schema)
        more.append(replace(request, key=key, sampling=sampling))
    return (request, *more)


class AnswerKeys:
    """Makes the keys of many requests that differ only in their messages; see `answer_key`.

    Args:
        identity: Which model answers.
        sampling: Sampling parameters.
        schema: Declared form of the answer.
    """

    def __init__(self, identity: ModelIdentity, sampling: Mapping[str, Any], schema: Mapping[str, Any]) -> None:
        content = {
            "model": identity.model,
            "revision": identity.revision,
            "sampling": dict(sampling),
            "schema": dict(schema),
        }
        # One JSON object with sorted keys: the part before the messages and the part after them.
        self._before = hashlib.sha256(b'{"adapter":' + _canonical(identity.adapter) + b',"messages":')
        self._after = b"," + _canonical(content)[1:]

    def key(self, messages: bytes) -> str:
        """Return one key: 64 hexadecimal digits (SHA-256 of the canonical JSON).

        Args:
            messages: Result of `messages_json`.
        """
        digest = self._before.copy()
        digest.update(messages)
        digest.update(self._after)
        return digest.hexdigest()


class TextKeys:
    """Makes the keys of requests whose messages differ only in some texts; equal to `AnswerKeys.key` of the messages.

    Args:
        keys: Makes the keys of any messages.
        messages: (role, what stands around its texts) of each message: one text more than it shows.

    Example:
        >>> keys = AnswerKeys(ModelIdentity("tiny", "1"), {}, {})
        >>> of_titles = TextKeys(keys, [("user", ("Describe ", "."))])
        >>> said = messages_json([{"role": "user", "content": 'Describe "Heat".'}])
        >>> of_titles.key([inside_json('"Heat"')]) == keys.key(said)
        True
    """

    def __init__(self, keys: AnswerKeys, messages: Sequence[tuple[str, Sequence[str]]]) -> None:
        constant = [b"["]
        for number, (role, texts) in enumerate(messages):
            constant[-1] += (b"," if number else b"") + b'{"content":"' + inside_json(texts[0])
            constant += map(inside_json, texts[1:])
            constant[-1] += b'","role":' + _canonical(role) + b"}"
        constant[-1] += b"]"
        self._first = keys._before.copy()
        self._first.update(constant[0])
        self._others = tuple(constant[1:])
        self._after = keys._after

    def key(self, texts: Sequence[bytes]) -> str:
        """Return one key.

        Args:
            texts: The texts that the messages show, in order, from `inside_json`.
        """
        digest = self._first.copy()
        for text, constant in zip(texts, self._others, strict=True):
            digest.update(text + constant)
        digest.update(self._after)
        return digest.hexdigest()


def inside_json(text: str) -> bytes:
    """Write a text as canonical JSON has it between its quotes.

    Example:
        >>> inside_json('say "Amélie"').decode()
        'say \\\\"Amélie\\\\"'
    """
    try:
        return orjson.dumps(text)[1:-1]
    except TypeError:  # half of a surrogate pair
        return _canonical(text)[1:-1]


def messages_json(messages: Sequence[Mapping[str, str]]) -> bytes:
    """Write messages as canonical JSON: sorted keys, no whitespace, UTF-8.

    Example:
        >>> messages_json([{"role": "user", "content": "Amélie"}]).decode()
        '[{"content":"Amélie","role":"user"}]'
    """
    listed = [dict(message) for message in messages]
    try:
        return orjson.dumps(listed, option=orjson.OPT_SORT_KEYS)
    except TypeError:  # half of a surrogate pair
        return _canonical(listed)


def _canonical(value: Any) -> bytes:
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    # surrogatepass: a broken text has a key too; the plan makes it an error row.
    return text.encode("utf-8", errors="surrogatepass")


def is_utf8(text: str) -> bool:
    """Return whether a text can be written as UTF-8; half of a surrogate pair cannot.

    Example:
        >>> is_utf8("Amélie"), is_utf8(chr(0xD800))
        (True, False)
    """
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
