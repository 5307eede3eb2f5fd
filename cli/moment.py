"""Reads a moment that a user gives on the command line."""

from datetime import UTC, datetime

from base.faults import WrongUse


def moment_of(option: str, text: str | None) -> datetime | None:
    """Return a moment in UTC, unless it names another zone; None stays None.

    Raises:
        WrongUse: It is not a time.
    """
    try:
        time = None if text is None else datetime.fromisoformat(text)
    except ValueError:
        what = f"{option}: '{text}' is not a time"
        raise WrongUse(f"{what}\n  give one such as 2018-09-24 or 2018-09-24T10:00:00, in UTC") from None
    return time if time is None or time.tzinfo else time.replace(tzinfo=UTC)
