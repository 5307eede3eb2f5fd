"""Find what a model was tuned on: its answers reveal those events, so the rows made from them are dated by it.

A folder made by `knowflow tune` records it in knowflow_tuning.json: `seen_until`, the time of the newest event it
learned from, or null; folders of earlier versions have `newest_event` for each kind of data. A folder with an adapter
was tuned on something. Any other model counts as having seen no event of the user, unless knowflow.yaml says otherwise.
"""

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator

FILE = "knowflow_tuning.json"
"""The file that every tuning writes last; see tuning/workfolder.py."""
NONE = "none"
FIX = "set seen_until: next to it, to the time of the newest event it was tuned on, or to none if there is none"


class Unsaid(Exception):
    """It is not recorded what a tuned model has seen, or two records differ; the text says where and what to do."""


def moment(text: str) -> datetime:
    """Parse a time in ISO format; without a time zone it is UTC.

    Example:
        >>> moment("2018-01-01T12:00:00+02:00").isoformat()
        '2018-01-01T10:00:00+00:00'
    """
    time = datetime.fromisoformat(text)
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).astimezone(UTC)


def read_said(value: Any) -> Any:
    """Parse `seen_until` in knowflow.yaml: `none`, or a time in UTC; a date means the end of that day.

    Example:
        >>> read_said(date(2018, 9, 24)).isoformat(), read_said("None")
        ('2018-09-24T23:59:59.999999+00:00', 'none')
    """
    if isinstance(value, str) and value.strip().lower() == NONE:
        return NONE
    if isinstance(value, str):
        try:
            value = date.fromisoformat(value.strip()) if len(value.strip()) == len("2018-09-24") else moment(value)
        except ValueError:
            raise ValueError(f"'{value}' is not a time; use one such as 2018-09-24T14:27:30Z, or none") from None
    if isinstance(value, date) and not isinstance(value, datetime):
        return datetime.combine(value, time.max, UTC)
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).astimezone(UTC)
    return value


SeenUntil = Annotated[datetime | Literal["none"] | None, BeforeValidator(read_said)]
"""Time of the newest event that a model was tuned on; `none` if it saw none; None if not given."""


def tuned_until(folder: Path | None, said: datetime | Literal["none"] | None, what: str) -> datetime | None:
    """Find the newest event that a model or an adapter was tuned on.

    Args:
        folder: Its folder; None for a model stored elsewhere, where only the user can say.
        said: Its `seen_until` in knowflow.yaml.
        what: The setting that names it, for messages.

    Returns:
        The time; None if it has seen no event of the user.

    Raises:
        Unsaid: It was tuned, but neither its folder nor knowflow.yaml says on what; or they contradict each other.
    """
    told = None
    try:
        told = _told_by(folder) if folder is not None else None
    except Unsaid as silent:
        if said is None:
            raise Unsaid(f"{what}: {silent}\n  {FIX}") from None
    if said is None:
        return told
    if told is not None and (not isinstance(said, datetime) or said < told):
        mine = said.isoformat() if isinstance(said, datetime) else said
        raise Unsaid(
            f"{what}: seen_until is {mine}, but according to {folder} it has seen events until {told.isoformat()}\n"
            "  leave seen_until out, or set it to that time or a later one"
        )
    return said if isinstance(said, datetime) else None


def _told_by(folder: Path) -> datetime | None:
    file = folder / FILE
    if file.is_file():
        return _told_in(json.loads(file.read_text(encoding="utf-8")), str(file))
    if (folder / "adapter_config.json").is_file():
        raise Unsaid(f"{folder} has no {FILE}, so the events it was tuned on are unknown")
    return None


def _told_in(said: Mapping[str, Any], where: str) -> datetime | None:
    if "seen_until" in said:
        return None if said["seen_until"] is None else moment(said["seen_until"])
    newest = list(_newest_events(said))
    if not newest or None in newest:
        raise Unsaid(f"{where} has no seen_until, the time of the newest event that the model was tuned on")
    return max(moment(str(time)) for time in newest)


def _newest_events(said: Mapping[str, Any]) -> Iterator[str | None]:
    """Yield `newest_event` of every kind of data."""
    for name, value in said.items():
        if name == "newest_event":
            yield value
        elif isinstance(value, Mapping):
            yield from _newest_events(value)


def learnt_until(base: Path, facts: Mapping[str, Any]) -> dict[str, str | None]:
    """Return what knowflow_tuning.json records for a new tuning: `seen_until` of its data and of its base model.

    Args:
        base: Folder of the model to tune.
        facts: Source of each kind of data.

    Returns:
        {} if unknown, for data without times: users of the model will be asked to give it.
    """
    newest = list(_newest_events(facts))
    try:
        before = _told_by(base)
    except Unsaid:
        return {}
    if None in newest:
        return {}
    times = [moment(str(time)) for time in newest] + ([before] if before else [])
    return {"seen_until": max(times).isoformat() if times else None}


def latest(*times: datetime | None) -> datetime | None:
    """Return the latest of some times; None if there is none.

    Example:
        >>> latest(None, datetime(2018, 1, 1), datetime(2017, 1, 1))
        datetime.datetime(2018, 1, 1, 0, 0)
    """
    return max((time for time in times if time is not None), default=None)
