"""Formats numbers and verdicts, the same in the conclusion and the report."""

import math
from collections.abc import Iterable, Mapping
from typing import Any, Literal

Verdict = Literal["better", "worse", "none", "unknown"]
"""Of a gain's interval: on the better side of 0, on the worse side, with 0 inside, or no interval."""

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
"""Display names of the segments."""
CONSTANT = "constant"
"""The arm that predicts the training rows' share of positives for every row; every model must beat it."""
GUARDS = ("shuffled", "random")
"""Arms of wrong knowledge; the knowledge arm must beat them before a gain is attributed to its texts."""
CONTROLS = {
    "base": "base",
    "facts": "its facts control",
    "shuffled": "shuffled texts",
    "random": "random vectors",
    CONSTANT: "a constant",
}
"""Control arm -> its name in a sentence; the default arms to measure gains against."""
OWN_CONTROLS = ("facts", "shuffled", "random", "labels")
"""Endings of the names of an arm's own controls: NAME-facts and so on."""
LEAST_USERS = 20
"""A segment with fewer users has no interval and no sentence (benchmarks/aa_test.py shows why)."""
MOST_OF_ONE = 0.5
"""Nor has a segment in which one user has more than this share of the rows."""


def own_controls(arm: str, arms: Iterable[str]) -> list[str]:
    """Find an arm's own controls among others.

    >>> own_controls("llm-cf", ["base", "llm-cf", "kar+llm-cf", "llm-cf-random"])
    ['llm-cf-random']
    """
    return [other for other in arms if other in {f"{arm}-{word}" for word in OWN_CONTROLS}]


def verdict_on(gain: Mapping[str, float | None], higher_is_better: bool = True) -> Verdict:
    """Return what an interval allows to claim.

    Args:
        gain: `low` and `high` of metric(arm) - metric(control), None without an interval.
        higher_is_better: Whether a larger metric is a better model.

    Returns:
        better or worse only if the whole interval is strictly on that side of 0.
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
    """Format a number with fixed digits, or a dash if there is none.

    >>> fixed(0.81649), fixed(-0.5, 1), fixed(None)
    ('0.8165', '−0.5', '–')
    """
    if value is None or math.isnan(value):
        return NOTHING
    text = f"{abs(value):.{digits}f}"
    return (MINUS if value < 0 and float(text) else "") + text


def signed(value: float | None, digits: int = 4) -> str:
    """Format a difference with its sign; a very small one gets more digits, so that it never reads as 0.

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
    """Format low and high of a gain.

    >>> interval({"low": 0.0021, "high": 0.0052}), interval({"low": None, "high": None})
    ('[+0.0021, +0.0052]', '–')
    """
    if gain["low"] is None or gain["high"] is None:
        return NOTHING
    return f"[{signed(gain['low'])}, {signed(gain['high'])}]"


def too_few(users: int, largest: float) -> str | None:
    """Return why there is no interval over users; None if there may be one.

    Args:
        users: Users with a row.
        largest: The largest share of the rows that one user has.

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
    """Return why there is no interval if few users have a row of one label; None if there may be one.

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
    """Return why a segment's gains have no interval, also for older results without a stored reason.

    Args:
        counts: A segment of `evals.evaluate.evaluate`.
    """
    if "no_interval" in counts or "users" not in counts:
        return counts.get("no_interval")
    return too_few(counts["users"], 0.0)


def compared(controls: Iterable[str]) -> list[str]:
    """Return the controls to show gains over; wrong knowledge and the constant are shown as checks."""
    return [control for control in controls if control not in (*GUARDS, CONSTANT)]


def count_users(users: int) -> str:
    """Format a number of users: `1 user`, `1,200 users`."""
    return f"{users:,} user" + ("" if users == 1 else "s")


def whose(counts: Mapping[str, Any]) -> str:
    """Describe the users behind a segment: their number, and the largest share of one of them if known.

    Args:
        counts: A segment of `evals.evaluate.evaluate`.

    >>> whose({"users": 610, "largest_user_share": 0.0251}), whose({"users": 1})
    ('610 users, the largest with 2.5% of the rows', '1 user')
    """
    share = counts.get("largest_user_share")
    users = count_users(counts["users"])
    return users if share is None or counts["users"] < 2 else f"{users}, the largest with {percent(share)} of the rows"


def percent(share: float | None) -> str:
    """Format a share; `<0.1%` and `>99.9%` where rounding would give none or all.

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
    """Return a segment's display name; for other names, replace underscores with spaces."""
    return SEGMENTS.get(name, name.replace("_", " "))
