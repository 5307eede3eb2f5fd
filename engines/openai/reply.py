"""Interpret a server's reply for the row: an answer, an error of this row, an attempt to repeat, a server of no use."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from engines.openai.waits import wait_in_body
from engines.openai.wording import (
    REFUSED,
    USED_UP,
    is_slow_down,
    is_too_long,
    never_fits,
    retry_after,
    shown,
    words_in,
    words_of,
)
from engines.request import Answer, Request
from engines.thinking import WAYS_OUT, without_thinking

BYTES_PER_TOKEN = 4
"""Average for English text in most vocabularies; other languages have fewer."""
MOST_TOKENS = 10_000_000
"""More than any model reads or writes at once: a larger count is a fault of the server."""
BARRING = frozenset({301, 302, 303, 307, 308, 401, 402, 403, 404, 405})
"""Statuses that concern the address, the key or the model, not the row."""
MAY_ASK_TO_WAIT = frozenset({400, 403, 413, 429, 503, 529})
"""Statuses of replies whose body may ask to wait; a header may ask with any status."""
AGAIN = frozenset({408, 409, 425})
BROKEN_OFF = frozenset({"abort", "error"})
"""Finish reasons of an answer that the server did not finish."""
THOUGHTS = ("reasoning_content", "reasoning", "thinking")
"""Fields in which servers put what the model thought."""
ESTIMATED = "the server counts no tokens; they are an estimate"
ABSURD = "the server's counts of tokens make no sense; they are an estimate"

Spent = tuple[int, int, int]
"""Input, output and cached tokens."""


class Again(Exception):
    """An attempt failed, but another may succeed.

    Args:
        kind: Kind of the error row if no attempt is left: `http_500`, `timeout`, `connection`, `garbage`, `broke_off`.
        detail: The error in a sentence.
        after: Seconds that the server asks to wait.
        slow_down: Whether the server only asks to be asked less; that is no failure, and no attempt of the row.
        spent: Tokens that the server counted for the reply that is thrown away.
    """

    def __init__(
        self, kind: str, detail: str, after: float = 0.0, *, slow_down: bool = False, spent: Spent = (0, 0, 0)
    ) -> None:
        super().__init__(f"{kind}: {detail}")
        self.kind, self.detail, self.after, self.slow_down, self.spent = kind, detail, after, slow_down, spent


class Barred(Exception):
    """The server will not answer any row: wrong address, key or model.

    Args:
        status: HTTP status.
        words: The server's message.
    """

    def __init__(self, status: int, words: str) -> None:
        super().__init__(f"HTTP {status}: {words}")
        self.status, self.words = status, words


@dataclass(frozen=True)
class Reply:
    """An HTTP response from which every trace of the key was removed."""

    status: int
    """HTTP status."""
    headers: Mapping[str, str]
    """HTTP headers; names may be in upper or lower case."""
    body: bytes
    """The whole body."""


def read_reply(reply: Reply, request: Request) -> Answer:
    """Parse the reply to a chat completion.

    Returns:
        The answer, or an error of this row only: `too_long`, `refused`, `bad_request` or `no_text`.

    Raises:
        Again: Another attempt may succeed.
        Barred: This server will not answer any row for this model.
    """
    body = read_body(reply, request)
    if isinstance(body, Answer):
        return body
    paid = _paid(body)
    try:
        choice = body["choices"][0]
        message = choice["message"]
        content, refusal = message.get("content"), message.get("refusal")
        reason, fault = choice.get("finish_reason"), choice.get("error")
    except (KeyError, IndexError, TypeError, AttributeError):
        raise Again("garbage", f"the body is no chat completion: {shown(reply.body)}", spent=paid) from None
    if fault:
        return _error_in_body(fault, reply, request, paid)
    if isinstance(reason, str) and reason in BROKEN_OFF:
        raise Again("broke_off", f"the server broke off and ended with: {reason}", spent=paid)
    text = _text_of(content)
    if text is None and content is not None and not _parts(content):
        raise Again("garbage", f"the content is no text: {shown(reply.body)}", spent=paid)
    said = body.get("model")
    how = {
        "finish": reason if isinstance(reason, str) else "",
        "answered_by": said if isinstance(said, str) else "",
    }
    used, note = usage(body, request, text or "")
    if refusal or reason == "content_filter":
        detail = shown(str(refusal or "the server's content filter cut the answer off").encode(errors="replace"))
        return Answer(request.key, None, "refused", detail, *used, **how)
    answer = None if text is None else without_thinking(text)
    if answer is None or (reason == "length" and not answer.strip()):
        thought = answer is None and (text is not None or any(map(message.get, THOUGHTS)) or bool(_parts(content)))
        why = f"{WAYS_OUT}; the server ended with: {reason}" if thought else f"the server ended with: {reason}"
        return Answer(request.key, None, "no_text", f"the server gave no text: {why}", *used, **how)
    return Answer(request.key, answer, None, note, *used, **how)


def _text_of(content: Any) -> str | None:
    """Return the text of a message: the content, or its parts of type text joined; None if there is none."""
    if not isinstance(content, list):
        return content if isinstance(content, str) else None
    texts = [part.get("text") for part in _parts(content) if part.get("type") in ("text", "output_text", None)]
    return "".join(text for text in texts if isinstance(text, str)) if texts else None


def _parts(content: Any) -> list[dict[str, Any]]:
    """Return the parts of a content that is a list of them."""
    return [part for part in content if isinstance(part, dict)] if isinstance(content, list) else []


def read_body(reply: Reply, request: Request) -> dict[str, Any] | Answer:
    """Parse the JSON object of any call, or return the error of this row only.

    Raises:
        Again: Another attempt may succeed.
        Barred: This server will not answer any row for this model.
    """
    if reply.status != 200:
        return _judged(reply.status, words_of(reply.body), reply, request)
    try:
        body = json.loads(reply.body)
    except (ValueError, RecursionError):
        raise Again("garbage", f"the body is no JSON: {shown(reply.body)}") from None
    if not isinstance(body, dict):
        raise Again("garbage", f"the body is no JSON object: {shown(reply.body)}")
    if body.get("error"):
        return _error_in_body(body["error"], reply, request, _paid(body))
    return body


def _error_in_body(error: Any, reply: Reply, request: Request, paid: Spent) -> Answer:
    """Treat an error inside a reply of status 200 as the status that it names."""
    code = error.get("code") if isinstance(error, dict) else None
    said = words_in(error) or shown(reply.body)
    status = int(code) if isinstance(code, int | str) and str(code) in map(str, range(400, 600)) else 0
    if not status and is_slow_down(400, said, None):
        status = 429
    elif not status and is_too_long(400, said):
        status = 400
    if not status:
        raise Again("broke_off", f"the reply holds an error: {said}", spent=paid)
    return _judged(status, said, reply, request, paid)


def _judged(status: int, said: str, reply: Reply, request: Request, paid: Spent = (0, 0, 0)) -> Answer:
    """Return the error of this row that a status and a message mean.

    Raises:
        Again: Another attempt may succeed.
        Barred: This server will not answer any row for this model.
    """
    words, wait = f"HTTP {status}: {said}", retry_after(reply.headers, datetime.now(UTC))
    if wait is None and status in MAY_ASK_TO_WAIT:
        wait = wait_in_body(reply.body)
    if status == 429 and USED_UP.search(said):
        raise Barred(status, said)
    if is_slow_down(status, said, wait) and not never_fits(said):
        raise Again(f"http_{status}", said, wait or 0.0, slow_down=True, spent=paid)
    if REFUSED.search(said) and status in (400, 403, 422):
        return Answer(request.key, None, "refused", words, *paid)
    if is_too_long(status, said) or (status == 429 and never_fits(said)):
        return Answer(request.key, None, "too_long", words, *paid)
    if status in AGAIN or status >= 500:
        raise Again(f"http_{status}", said, wait or 0.0, spent=paid)
    if status in BARRING:
        raise Barred(status, said)
    return Answer(request.key, None, "bad_request", words, *paid)


def usage(body: Mapping[str, Any], request: Request, text: str) -> tuple[Spent, str]:
    """Return the tokens as the server counts them, or estimates if it does not, and a note that says so."""
    said = body.get("usage")
    counted = said if isinstance(said, dict) else {}
    given, made = _number(counted.get("prompt_tokens")), _number(counted.get("completion_tokens"))
    note = "" if None not in (given, made) else ABSURD if any(map(_is_absurd, counted.values())) else ESTIMATED
    if given is None:
        given = estimate_tokens(*(message["content"] for message in request.messages))
    return (given, estimate_tokens(text) if made is None else made, min(_cached(counted), given)), note


def _paid(body: Mapping[str, Any]) -> Spent:
    """Return the tokens that a server counted for a reply that is thrown away; what it does not count is not paid."""
    said = body.get("usage")
    counted = said if isinstance(said, dict) else {}
    given = _number(counted.get("prompt_tokens")) or 0
    return given, _number(counted.get("completion_tokens")) or 0, min(_cached(counted), given)


def _cached(counted: Mapping[str, Any]) -> int:
    details = counted.get("prompt_tokens_details")
    return _number(details.get("cached_tokens") if isinstance(details, dict) else None) or 0


def spent_by(answer: Answer) -> Spent:
    """Return the tokens that an answer took."""
    return answer.input_tokens, answer.output_tokens, answer.cached_tokens


def added(one: Spent, other: Spent) -> Spent:
    """Add tokens to tokens."""
    return one[0] + other[0], one[1] + other[1], one[2] + other[2]


def with_spent(answer: Answer, spent: Spent) -> Answer:
    """Add tokens, such as those of failed attempts, to an answer."""
    given, made, cached = added(spent_by(answer), spent)
    return replace(answer, input_tokens=given, output_tokens=made, cached_tokens=cached)


def estimate_tokens(*texts: str) -> int:
    """Estimate tokens from bytes.

    Example:
        >>> estimate_tokens("eight...", "one more")
        4
    """
    return -(-sum(len(text.encode(errors="replace")) for text in texts) // BYTES_PER_TOKEN)


def _number(value: Any) -> int | None:
    """Return a count of tokens that can be true."""
    there = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST_TOKENS
    return value if there else None


def _is_absurd(value: Any) -> bool:
    return isinstance(value, int | float | str) and not isinstance(value, bool) and _number(value) is None
