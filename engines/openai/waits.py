"""How long a server asks to wait in the body of a reply, where it sends no header `Retry-After`."""

import json
import math
import re
from typing import Any

SEEN = 20_000
"""Maximum bytes of a body in which a wait is looked for."""
UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
"""Seconds of each unit."""
NUMBER = r"\d{1,9}(?:\.\d{1,9})?"
UNIT = r"(?:milliseconds?|msecs?|ms|seconds?|secs?|s|minutes?|mins?|m|hours?|hrs?|h|days?|d)"
PART = re.compile(rf"({NUMBER}) ?({UNIT})(?![a-z])", re.IGNORECASE)
SEVERAL = rf"{NUMBER} ?{UNIT}(?![a-z])(?:(?:,? and |,? ?){NUMBER} ?{UNIT}(?![a-z]))*"
BARE = rf"{NUMBER}(?![\d:/-]|\.\d| ?[a-z%])"
IN_WORDS = re.compile(
    rf"\b(?:try|retry)(?: your request| the request)?(?: again)? (?:in|after)(?: about)? ({SEVERAL}|{BARE})",
    re.IGNORECASE,
)
FIELDS = {"retryafter": 1.0, "retryafterseconds": 1.0, "retryafterms": 0.001, "retrydelay": 1.0}
"""Fields of a JSON body that hold a wait, without punctuation -> seconds of its unit if it has none."""


def wait_in_body(body: bytes) -> float | None:
    """Return the seconds that a body asks to wait, in a field or in words; None if it does not ask.

    Example:
        >>> wait_in_body(b'{"retry_after": 12}'), wait_in_body(b"Rate limit. Please try again in 1m3.5s.")
        (12.0, 63.5)
    """
    try:
        said = json.loads(body[:SEEN])
    except (ValueError, RecursionError):
        said = None  # no JSON, or not a whole one
    asked = _in_fields(said)
    if asked is not None:
        return asked
    words = IN_WORDS.search(" ".join(body[:SEEN].decode(errors="replace").split()))
    return _seconds(words.group(1), 1.0) if words else None


def _in_fields(said: Any) -> float | None:
    """Return the first wait in a field of a JSON value, however deep."""
    waiting = [said]
    while waiting:
        value = waiting.pop()
        if isinstance(value, list):
            waiting += value[::-1]
        if not isinstance(value, dict):
            continue
        for name, one in value.items():
            unit = FIELDS.get(re.sub(r"[\W_]", "", name.lower()))
            asked = None if unit is None else _seconds(one, unit)
            if asked is not None:
                return asked
        waiting += list(value.values())[::-1]
    return None


def _seconds(value: Any, unit: float) -> float | None:
    """Return a wait as seconds; a text may have units, such as `1m3.5s`."""
    if isinstance(value, str):
        text = value.strip()
        if re.fullmatch(NUMBER, text):
            return float(text) * unit
        if not re.fullmatch(SEVERAL, text, re.IGNORECASE):
            return None
        return sum(float(number) * _unit(name) for number, name in PART.findall(text))
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) * unit if 0 <= value < 1e9 and math.isfinite(value) else None


def _unit(name: str) -> float:
    small = name.lower()
    return UNITS["ms" if small.startswith(("ms", "mil")) else small[0]]
