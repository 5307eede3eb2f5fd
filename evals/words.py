"""Numbers and verdicts in words, the same in the conclusion and in the report."""

import math
from collections.abc import Iterable, Mapping
from typing import Any, Literal

Verdict = Literal["better", "worse", "none", "unknown"]
"""Of a gain's interval: on the better side of 0, on the worse side, with 0 inside, or not there."""

MINUS = "−"
NOTHING = "–"
SEGMENTS = {
    "all": "all test rows",
    "warm": "warm rows",
    "cold": "cold rows",
    "cold_with_knowledge": "cold rows with knowledge",
    "after_cutoff": "rows after the model's knowledge cutoff",
    "before_cutoff": "rows before the model's knowledge cutoff",
}
"""Names of the segments as shown."""
CONSTANT = "constant"
"""The arm that predicts the training rows' share of positives for every row: what a model must beat to be one."""
GUARDS = ("shuffled", "random")
"""Arms of wrong knowledge: what the knowledge arm must beat too before a gain is put down to what its texts say."""
CONTROLS = {
    "base": "base",
    "facts": "its facts control",
    "shuffled": "shuffled texts",
    "random": "random vectors",
    CONSTANT: "a constant",
}
"""Names of the control arms as shown in a sentence; the arms that gains are measured against unless told otherwise."""
OWN_CONTROLS = ("facts", "shuffled", "random", "labels")
"""What follows an arm's name and a dash in the names of its own controls."""
LEAST_USERS = 20
"""With fewer users in a segment there is no interval and no sentence (benchmarks/aa_test.py says why)."""
MOST_OF_ONE = 0.5
"""Where one user holds more than this share of a segment's rows, there is none either."""


def own_controls(arm: str, arms: Iterable[str]) -> list[str]:
    """Find an arm's own controls among others.

    >>> own_controls("llm-cf", ["base", "llm-cf", "kar+llm-cf", "llm-cf-random"])
    ['llm-cf-random']
    """
    return [other for other in arms if other in {f"{arm}-{word}" for word in OWN_CONTROLS}]


def verdict_on(gain: Mapping[str, float | None], higher_is_better: bool = True) -> Verdict:
    """Say what an interval allows to claim.

    Args:
        gain: `low` and `high` of metric(arm) - metric(control), None where there is no interval.
        higher_is_better: Whether a larger metric is a better model.

    Returns:
        better or worse only where the whole interval is strictly on that side of 0.
    """
    low, high = gain["low"], gain["high"]
    if low is None or high is None:
        return "unknown"
    if low > 0:
        return "better" if higher_is_better else "worse"
    if high < 0:
        return "worse" if higher_is_better else "better"
    return "none"


def fixed(value: float | None, digits: int = 4) -> str:
    """Show a number with fixed digits, a dash where there is none.

    >>> fixed(0.81649), fixed(-0.5, 1), fixed(None)
    ('0.8165', '−0.5', '–')
    """
    if value is None or math.isnan(value):
        return NOTHING
    text = f"{abs(value):.{digits}f}"
    return (MINUS if value < 0 and float(text) else "") + text


def signed(value: float | None, digits: int = 4) -> str:
    """Show a difference with its sign; one too small for the digits keeps its first, so that it never reads as 0.

    >>> signed(0.0036), signed(-0.00002), signed(0.0)
    ('+0.0036', '−0.00002', '0.0000')
    """
    if value is None or math.isnan(value):
        return NOTHING
    while value and not float(f"{abs(value):.{digits}f}") and digits < 12:
        digits += 1
    text = f"{abs(value):.{digits}f}"
    return ("" if not float(text) else "+" if value > 0 else MINUS) + text


def interval(gain: Mapping[str, float | None]) -> str:
    """Show low and high of a gain.

    >>> interval({"low": 0.0021, "high": 0.0052}), interval({"low": None, "high": None})
    ('[+0.0021, +0.0052]', '–')
    """
    if gain["low"] is None or gain["high"] is None:
        return NOTHING
    return f"[{signed(gain['low'])}, {signed(gain['high'])}]"


def too_few(users: int, largest: float) -> str | None:
    """Say why there is no interval over users; None where there may be one.

    Args:
        users: Users with a row.
        largest: Share of the rows of the user who has most.

    >>> too_few(12, 0.2), too_few(1, 1.0), too_few(30, 0.7), too_few(30, 0.2)
    ('12 users: too few for an interval', '1 user: too few for an interval', \
'one user holds 70.0% of the rows: too much for an interval', None)
    """
    if users < LEAST_USERS:
        return f"{count_users(users)}: too few for an interval"
    if largest > MOST_OF_ONE:
        return f"one user holds {percent(largest)} of the rows: too much for an interval"
    return None


def too_few_of_a_label(negative: int, positive: int) -> str | None:
    """Say why there is no interval where few users have a row of one label; None where there may be one.

    Args:
        negative: Users with a row of label 0.
        positive: Users with a row of label 1.

    >>> too_few_of_a_label(400, 3), too_few_of_a_label(30, 20)
    ('3 users with a row of the rarer label: too few for an interval', None)
    """
    if min(negative, positive) < LEAST_USERS:
        return f"{count_users(min(negative, positive))} with a row of the rarer label: too few for an interval"
    return None


def without_interval(counts: Mapping[str, Any]) -> str | None:
    """Say why a segment's gains have no interval, of results too that were written before there was a reason in them.

    Args:
        counts: A segment of `evals.evaluate.evaluate`.
    """
    if "no_interval" in counts or "users" not in counts:
        return counts.get("no_interval")
    return too_few(counts["users"], 0.0)


def compared(controls: Iterable[str]) -> list[str]:
    """Controls that gains are shown over; wrong knowledge and the constant are shown as checks, apart."""
    return [control for control in controls if control not in (*GUARDS, CONSTANT)]


def count_users(users: int) -> str:
    """Say how many users; `1 user`, `1,200 users`."""
    return f"{users:,} user" + ("" if users == 1 else "s")


def whose(counts: Mapping[str, Any]) -> str:
    """Say whose rows a segment holds: users, and the largest one's share where it is known.

    Args:
        counts: A segment of `evals.evaluate.evaluate`.

    >>> whose({"users": 610, "largest_user_share": 0.0251}), whose({"users": 1})
    ('610 users, the largest with 2.5% of the rows', '1 user')
    """
    share = counts.get("largest_user_share")
    told = count_users(counts["users"])
    return told if share is None or counts["users"] < 2 else f"{told}, the largest with {percent(share)} of the rows"


def percent(share: float | None) -> str:
    """Show a share; `<0.1%` and `>99.9%` where rounding would say none or all.

    >>> percent(0.837), percent(0.0002), percent(0.9999), percent(1)
    ('83.7%', '<0.1%', '>99.9%', '100.0%')
    """
    if share is None or math.isnan(share):
        return NOTHING
    if 0 < share < 0.0005:
        return "<0.1%"
    if 0.9995 <= share < 1:
        return ">99.9%"
    return f"{share:.1%}"


def segment_name(name: str) -> str:
    """Show a segment's name; one of the user's own with spaces for its underscores."""
    return SEGMENTS.get(name, name.replace("_", " "))
