"""What an OpenAI-compatible server is sent for a request, and what its reply means for the row."""

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
"""Field of the object that a choice is wrapped in: hosted services constrain objects alone."""
OURS = frozenset({"model", "messages", "n", "stream"})
"""Fields that a prompt's sampling must not set."""


def chat_body(request: Request, model: str, options: OpenAIOptions) -> dict[str, Any]:
    """Word a request as a chat completion.

    A LoRA adapter is asked for by its name in place of the model's: that is how vLLM serves adapters. Sampling
    parameters go as the prompt names them; those that only some servers know (`top_k`, `min_p`) are theirs to refuse.
    Without a temperature the likeliest tokens are taken, and tokens that are drawn are drawn by the row's own seed,
    made of its answer key: as by the vLLM engine in process, so that the same key stands for the same answer.

    Args:
        request: The request.
        model: Name under which the model is served.
        options: Of the engine.

    Raises:
        EngineFault: The prompt's sampling asks for what is no sampling.
    """
    sampling = dict(request.sampling)
    if wrong := sorted(OURS & sampling.keys()):
        raise EngineFault(f"the prompt's sampling must not set {', '.join(wrong)}\n  take it out of the prompt file")
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
    """The fields that hold the server to a declared form; none for text.

    Args:
        declared: The prompt's `schema`.
        structured: How it is asked for; see `OpenAIOptions.structured`.
    """
    return _constraint(json.dumps(dict(declared)), structured)  # as declared: the order of fields is that of the answer


@lru_cache(maxsize=64)
def _constraint(declared: str, structured: str) -> dict[str, Any]:
    """Worked out once a form, for pydantic takes a millisecond to make a schema."""
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
    """Take a choice out of the object that `constraint` wrapped it in; any other text stays as it came.

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
"""What English text has in most vocabularies; others have fewer."""
SHOWN = 300
"""Characters of a server's words that are kept."""
BARRING = frozenset({301, 302, 303, 307, 308, 401, 402, 403, 404, 405})
"""Statuses that tell of the address, the key or the model, not of the row."""
AGAIN = frozenset({408, 409, 425, 429})
TOO_LONG = re.compile(
    r"context.{0,3}(length|size|window)|(prompt|input|request).{0,40}too (long|large|many tokens)|exceed.{0,40}tokens",
    re.IGNORECASE,
)
REFUSED = re.compile(r"content.{0,3}(filter|policy|management)|moderation|flagged|safety|guardrail", re.IGNORECASE)
USED_UP = re.compile(r"insufficient.{0,3}(quota|balance|credit|funds)|exceeded your current quota", re.IGNORECASE)


class Again(Exception):
    """An attempt failed in a way that another may not.

    Args:
        kind: Word for the error row, should no attempt be left: `http_500`, `timeout`, `connection` or `garbage`.
        detail: The same in a sentence.
        after: Seconds that the server asks to wait.
        busy: The server has too much to do.
    """

    def __init__(self, kind: str, detail: str, after: float = 0.0, *, busy: bool = False) -> None:
        super().__init__(f"{kind}: {detail}")
        self.kind, self.detail, self.after, self.busy = kind, detail, after, busy


class Barred(Exception):
    """The server will answer no row: wrong address, key or model.

    Args:
        status: HTTP status.
        words: The server's words.
    """

    def __init__(self, status: int, words: str) -> None:
        super().__init__(f"HTTP {status}: {words}")
        self.status, self.words = status, words


@dataclass(frozen=True)
class Reply:
    """What came back over HTTP, with every trace of the key taken out."""

    status: int
    """HTTP status."""
    headers: Mapping[str, str]
    """HTTP headers; names in any case."""
    body: bytes
    """The whole body."""


def read_reply(reply: Reply, request: Request) -> Answer:
    """Read the reply to a chat completion.

    Returns:
        The answer, or an error of this row alone: `too_long`, `refused`, `bad_request` or `no_text`.

    Raises:
        Again: Another attempt may succeed.
        Barred: This server will answer no row of this model.
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
    """Read the JSON object of any call, or the error of this row alone.

    Raises:
        Again: Another attempt may succeed.
        Barred: This server will answer no row of this model.
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
    """The server's own words about an error, with its error code."""
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
    """Input, output and cached tokens as the server counts them; estimates where it does not say."""
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
    """Estimate tokens by bytes.

    Example:
        >>> estimate_tokens("eight...", "one more")
        4
    """
    return -(-sum(len(text.encode(errors="replace")) for text in texts) // BYTES_PER_TOKEN)


def _number(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """Seconds that a server asks to wait, given in seconds or as an HTTP date; None when it does not ask.

    A date is read by the server's own clock where it tells it.

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
    """The begin of a body in one line, for messages."""
    text = " ".join(body[: 4 * SHOWN].decode(errors="replace").split())
    return text if len(text) <= SHOWN else text[:SHOWN] + "..."
