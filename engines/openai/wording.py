"""What servers say when they do not answer: what each wording means, and how long to wait.

The patterns follow messages of vLLM, TGI, llama.cpp, Ollama, SGLang, LM Studio and the large hosted APIs; the tests
hold them.
"""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

SHOWN = 300
"""Maximum characters kept of a server's message."""
REFUSED = re.compile(r"content.{0,3}(filter|policy|management)|moderation|flagged|safety|guardrail", re.IGNORECASE)
USED_UP = re.compile(r"insufficient.{0,3}(quota|balance|credit|funds)|exceeded your current quota", re.IGNORECASE)
SLOW_DOWN = re.compile(
    r"rate.?limit|too many requests|throttl|\b(tokens|requests)[ -]per[ -](second|min|minute|hour|day)\b|\b[TR]P[MD]\b",
    re.IGNORECASE,
)
NEVER_FITS = re.compile(r"limit:? *([\d,]+).{0,40}?requested:? *([\d,]+)", re.IGNORECASE)
TOO_LONG = re.compile(
    "|".join(
        (
            r"context.{0,3}(length|size|window).{0,3}exceed",
            r"(maximum|available|exceeds?|longer than|fit into).{0,30}context.{0,3}(length|size|window|limit)",
            r"context.{0,3}(length|size|window) of only",
            r"(prompt|input|request)\b.{0,40}too (long|large|many tokens)",
            r"string too long",
            r"longer than the maximum model length",
            r"maximum prompt length",
            r"max(_completion|_new)?_tokens must be at least 1, got -",
            r"inputs`? tokens \+ `?max_new_tokens|inputs`? must have less than",
            r"(tokens?|input|prompt)\b.{0,40}exceeds?\b.{0,40}(tokens|limit of|maximum)",
            r"reduce (your prompt|the length of the (input|prompt|messages))",
        )
    ),
    re.IGNORECASE,
)


def is_too_long(status: int, said: str) -> bool:
    """Return whether a server says that the prompt does not fit the model.

    Args:
        status: HTTP status.
        said: Its message.
    """
    return status == 413 or (status in (400, 422, 500) and TOO_LONG.search(said) is not None)


def never_fits(said: str) -> bool:
    """Return whether one request is larger than what a server takes in a minute, so that waiting cannot help.

    Example:
        >>> never_fits("on tokens per minute (TPM): Limit 6000, Requested 6453"), never_fits("Limit 6000, Used 5034")
        (True, False)
    """
    found = NEVER_FITS.search(said)
    limit, requested = (int(number.replace(",", "") or 0) for number in found.groups()) if found else (0, 0)
    return requested > limit


def is_slow_down(status: int, said: str, wait: float | None) -> bool:
    """Return whether a server asks to slow down, which says nothing about the row.

    Args:
        status: HTTP status.
        said: Its message.
        wait: Seconds that it asks to wait; None if it does not ask.
    """
    if status in (429, 529):
        return True
    return (status == 503 and wait is not None) or (status in (400, 403, 413) and SLOW_DOWN.search(said) is not None)


def words_of(body: bytes) -> str:
    """Return the message in the body of an error, with its error code."""
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        return shown(body) or "no words"
    return words_in(said.get("error", said) if isinstance(said, dict) else said) or shown(body)


def words_in(error: object) -> str:
    """Return the message of an error object with its error code; empty if it has none.

    Example:
        >>> words_in({"message": "slow down", "code": "rate_limit_exceeded"})
        'slow down (rate_limit_exceeded)'
    """
    if isinstance(error, str):
        return shown(error.encode(errors="replace"))
    if not isinstance(error, dict) or not isinstance(error.get("message"), str):
        return ""
    code = error.get("code")
    said = f"{error['message']} ({code})" if isinstance(code, str) else error["message"]
    return shown(said.encode(errors="replace"))


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
