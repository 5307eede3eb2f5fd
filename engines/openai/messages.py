"""Build the call to an OpenAI-compatible server for a request, and interpret its reply for the row."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Any

from engines.openai.options import OpenAIOptions
from engines.protocol import EngineFault
from engines.request import Answer, Request
from engines.vllm.sampling import SEED_DIGITS, with_real_characters
from prompts.schema import ChoiceSchema, ObjectSchema, read_schema

WRAPPED = "answer"
"""Field of the object that a choice is wrapped in: hosted services can only constrain objects."""
OURS = frozenset({"model", "messages", "n", "stream"})
"""Fields that a prompt's sampling must not set."""


def chat_body(request: Request, model: str, options: OpenAIOptions) -> dict[str, Any]:
    """Build the body of a chat completion.

    A LoRA adapter is requested by sending its name instead of the model's, which is how vLLM serves adapters. Sampling
    parameters are sent as the prompt names them; a server may reject those it does not support (`top_k`, `min_p`).
    Without a temperature the most likely tokens are taken; sampled tokens use the row's own seed, made from its answer
    key, as in the vllm engine, so that the same key stands for the same answer.

    Args:
        request: The request.
        model: Name of the model on the server.
        options: Options of the engine.

    Raises:
        EngineFault: The prompt's sampling sets a field that is not a sampling parameter.
    """
    sampling = dict(request.sampling)
    if wrong := sorted(OURS & sampling.keys()):
        raise EngineFault(f"the prompt's sampling must not set {', '.join(wrong)}\n  remove it from the prompt file")
    sampling.setdefault("temperature", 0.0)
    if options.seed_rows and sampling["temperature"] != 0:
        sampling.setdefault("seed", int(request.key[:SEED_DIGITS], 16))
    if "max_tokens" in sampling:
        sampling = {options.output_limit: sampling.pop("max_tokens"), **sampling}
    return {
        **options.extra,
        "model": request.adapter.name if request.adapter else model,
        "messages": [dict(message) for message in request.messages],
        **sampling,
        **constraint(request.schema, options.structured),
    }


def constraint(declared: Mapping[str, Any], structured: str) -> dict[str, Any]:
    """Return the fields that constrain the server to a declared form; empty for text.

    Args:
        declared: The prompt's `schema`.
        structured: How to request it; see `OpenAIOptions.structured`.
    """
    return _constraint(json.dumps(dict(declared)), structured)  # unsorted: the order of fields is that of the answer


@lru_cache(maxsize=64)
def _constraint(declared: str, structured: str) -> dict[str, Any]:
    """Build the fields once per form, because pydantic takes a millisecond to make a schema."""
    schema = read_schema(json.loads(declared))
    if structured == "none":
        return {}
    if isinstance(schema, ObjectSchema):
        wanted = schema.json_schema()
        if structured == "vllm":
            return {"structured_outputs": {"json": with_real_characters(wanted)}}
        return _response_format(wanted)
    if isinstance(schema, ChoiceSchema):
        if structured == "vllm":
            return {"structured_outputs": {"choice": list(schema.choices)}}
        wanted = {"type": "string", "enum": list(schema.choices)}
        return _response_format(
            {"type": "object", "properties": {WRAPPED: wanted}, "required": [WRAPPED], "additionalProperties": False}
        )
    return {}


def unwrapped(text: str, declared: Mapping[str, Any], structured: str) -> str:
    """Unwrap a choice from the object that `constraint` wrapped it in; any other text is returned unchanged.

    Example:
        >>> unwrapped('{"answer": "Yes"}', {"type": "choice", "choices": ["Yes", "No"]}, "json_schema")
        'Yes'
    """
    if declared.get("type") != "choice" or structured != "json_schema":
        return text
    try:
        found = json.loads(text)
    except ValueError:
        return text
    wrapped = found.get(WRAPPED) if isinstance(found, dict) and len(found) == 1 else None
    return wrapped if isinstance(wrapped, str) else text


def _response_format(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "answer", "strict": True, "schema": dict(schema)},
        }
    }


BYTES_PER_TOKEN = 4
"""Average for English text in most vocabularies; other languages have fewer."""
SHOWN = 300
"""Maximum characters kept of a server's message."""
BARRING = frozenset({301, 302, 303, 307, 308, 401, 402, 403, 404, 405})
"""Statuses that concern the address, the key or the model, not the row."""
AGAIN = frozenset({408, 409, 425, 429})
TOO_LONG = re.compile(
    r"context.{0,3}(length|size|window)|(prompt|input|request).{0,40}too (long|large|many tokens)|exceed.{0,40}tokens",
    re.IGNORECASE,
)
REFUSED = re.compile(r"content.{0,3}(filter|policy|management)|moderation|flagged|safety|guardrail", re.IGNORECASE)
USED_UP = re.compile(r"insufficient.{0,3}(quota|balance|credit|funds)|exceeded your current quota", re.IGNORECASE)


class Again(Exception):
    """An attempt failed, but another may succeed.

    Args:
        kind: Kind of the error row if no attempt is left: `http_500`, `timeout`, `connection` or `garbage`.
        detail: The error in a sentence.
        after: Seconds that the server asks to wait.
        busy: Whether the server is overloaded.
    """

    def __init__(self, kind: str, detail: str, after: float = 0.0, *, busy: bool = False) -> None:
        super().__init__(f"{kind}: {detail}")
        self.kind, self.detail, self.after, self.busy = kind, detail, after, busy


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
    try:
        choice = body["choices"][0]
        message = choice["message"]
        text, refusal = message.get("content"), message.get("refusal")
        reason = choice.get("finish_reason")
    except (KeyError, IndexError, TypeError, AttributeError):
        raise Again("garbage", f"the body is no chat completion: {shown(reply.body)}") from None
    if text is not None and not isinstance(text, str):
        raise Again("garbage", f"the content is no text: {shown(reply.body)}")
    used = usage(body, request, text or "")
    if refusal or reason == "content_filter":
        detail = shown(str(refusal or "the server's content filter cut the answer off").encode(errors="replace"))
        return Answer(request.key, None, "refused", detail, *used)
    if text is None:
        return Answer(request.key, None, "no_text", f"the server gave no text and ended with: {reason}", *used)
    detail = "" if isinstance(body.get("usage"), dict) else "the server counts no tokens; they are an estimate"
    return Answer(request.key, text, None, detail, *used)


def read_body(reply: Reply, request: Request) -> dict[str, Any] | Answer:
    """Parse the JSON object of any call, or return the error of this row only.

    Raises:
        Again: Another attempt may succeed.
        Barred: This server will not answer any row for this model.
    """
    if reply.status == 200:
        try:
            body = json.loads(reply.body)
        except (ValueError, RecursionError):
            raise Again("garbage", f"the body is no JSON: {shown(reply.body)}") from None
        if not isinstance(body, dict):
            raise Again("garbage", f"the body is no JSON object: {shown(reply.body)}")
        return body
    said = words_of(reply)
    words = f"HTTP {reply.status}: {said}"
    if reply.status == 429 and USED_UP.search(said):
        raise Barred(reply.status, said)
    if reply.status in AGAIN or reply.status >= 500:
        wait = retry_after(reply.headers, datetime.now(UTC))
        raise Again(f"http_{reply.status}", said, wait or 0.0, busy=reply.status == 429 or wait is not None)
    if REFUSED.search(said) and reply.status in (400, 403, 422):
        return Answer(request.key, None, "refused", words)
    if reply.status in BARRING:
        raise Barred(reply.status, said)
    if reply.status == 413 or TOO_LONG.search(said):
        return Answer(request.key, None, "too_long", words)
    return Answer(request.key, None, "bad_request", words)


def words_of(reply: Reply) -> str:
    """Return the server's error message with its error code."""
    try:
        error = json.loads(reply.body)
        error = error.get("error", error) if isinstance(error, dict) else error
    except (ValueError, RecursionError):
        return shown(reply.body) or "no words"
    if isinstance(error, dict) and isinstance(error.get("message"), str):
        code = error.get("code")
        said = f"{error['message']} ({code})" if isinstance(code, str) else error["message"]
        return shown(said.encode(errors="replace"))
    return shown(reply.body)


def usage(body: Mapping[str, Any], request: Request, text: str) -> tuple[int, int, int]:
    """Return input, output and cached tokens as the server counts them, or estimates if it does not."""
    said = body.get("usage")
    said = said if isinstance(said, dict) else {}
    details = said.get("prompt_tokens_details")
    cached = details.get("cached_tokens") if isinstance(details, dict) else None
    given = _number(said.get("prompt_tokens"))
    made = _number(said.get("completion_tokens"))
    if given is None:
        given = estimate_tokens(*(message["content"] for message in request.messages))
    return given, estimate_tokens(text) if made is None else made, min(_number(cached) or 0, given)


def estimate_tokens(*texts: str) -> int:
    """Estimate tokens from bytes.

    Example:
        >>> estimate_tokens("eight...", "one more")
        4
    """
    return -(-sum(len(text.encode(errors="replace")) for text in texts) // BYTES_PER_TOKEN)


def _number(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """Return the seconds that a server asks to wait, given in seconds or as an HTTP date; None if it does not ask.

    A date is compared with the server's own clock if its reply includes one.

    Example:
        >>> now = datetime(2026, 11, 25, 8, 0, 0, tzinfo=UTC)
        >>> retry_after({"retry-after": "2.5"}, now), retry_after({"Retry-After": "Wed, 25 Nov 2026 08:00:07 GMT"}, now)
        (2.5, 7.0)
    """
    lower = {name.lower(): value for name, value in headers.items()}
    asked = lower.get("retry-after")
    if asked is None:
        return None
    if re.fullmatch(r"\s*\d{1,9}(\.\d*)?\s*", asked):
        return float(asked)
    until, begun = _date(asked), _date(lower.get("date", "")) or now
    return max((until - begun).total_seconds(), 0.0) if until else None


def _date(text: str) -> datetime | None:
    try:
        read = parsedate_to_datetime(text)
    except ValueError:
        return None
    return read if read.tzinfo else read.replace(tzinfo=UTC)


def shown(body: bytes) -> str:
    """Return the start of a body on one line, for messages."""
    text = " ".join(body[: 4 * SHOWN].decode(errors="replace").split())
    return text if len(text) <= SHOWN else text[:SHOWN] + "..."
