"""The kinds of errors that rows end with: which of them pass, and what to do about each.

An error that is the server's, not the row's, is asked again by later refreshes, a few times and less and less often;
any other stays on record until `knowflow retry --error KIND` asks for it, because the same question would get the same
answer.
"""

import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from fnmatch import fnmatchcase


@dataclass(frozen=True)
class Kind:
    """One kind of error."""

    pattern: str
    """Its name; `*` stands for any characters."""
    passes: bool
    """Whether it is the fault of the server or the connection, so that the same request may be answered later."""
    fix: str
    """What to do about it."""


KINDS = (
    Kind("http_*", True, "check the log of the server"),
    Kind("timeout", True, "check the load of the server, or raise engine.options.timeout"),
    Kind("connection", True, "check that the server runs, and engine.options.urls"),
    Kind(
        "garbage",
        True,
        "check that engine.options.urls names an OpenAI-compatible API; often /v1 is missing",
    ),
    Kind("broke_off", True, "check the log of the server"),
    Kind("no_text", False, "if the model thinks, switch thinking off or raise sampling.max_tokens in the prompt"),
    Kind("refused", False, "reword the prompt, or use another model"),
    Kind("too_long", False, "serve the model with a longer context, or show less: history, or tasks.TASK.too_long"),
    Kind(
        "bad_request",
        False,
        "check the prompt's sampling and schema, and structured, output_limit and extra under engine.options",
    ),
    Kind("bad_schema", False, "simplify the prompt's schema"),
    Kind("bad_template", False, "change the roles in the prompt, or use another model"),
    Kind("unsupported", False, "use an engine or a server that can do what the prompt asks for"),
    Kind("not_recorded", False, "add the answers to engine.options.files, or use an engine that asks a model"),
    Kind("not_utf8", False, "fix the characters in the data"),
    Kind("parse", False, "change the prompt, or use a model that keeps to the form"),
)
SENDS = "knowflow refresh sends its rows"
"""What asks rows that were never sent."""
OTHER = Kind("*", False, "fix what the error says")
ATTEMPTS = 8
"""Times that a row is asked whose error passes, before it needs `knowflow retry`."""
FIRST_WAIT, LONGEST_WAIT = timedelta(hours=1), timedelta(days=7)
"""How long a row waits after its third attempt, and at most; before that it does not wait."""


def next_attempt(attempts: int, last: datetime) -> datetime | None:
    """Return when a row whose error passes may be asked again; None if it was asked often enough.

    The waits are 0, 0, 1, 4, 16 and 64 hours, then 7 days: nightly runs ask it on six nights in a row, then twice more.

    Args:
        attempts: Times that it was asked, from 1.
        last: When it was asked last.

    Example:
        >>> next_attempt(4, datetime(2024, 1, 1)).hour, next_attempt(8, datetime(2024, 1, 1))
        (4, None)
    """
    if attempts >= ATTEMPTS:
        return None
    wait = FIRST_WAIT * 4 ** (attempts - 3) if attempts > 2 else timedelta(0)
    return last + min(wait, LONGEST_WAIT)


def kind_of(error: str) -> Kind:
    """Return the kind of an error, given as its name or as `name: sentence`.

    Example:
        >>> kind_of("http_502: after 6 attempts: Bad Gateway").passes, kind_of("refused").passes
        (True, False)
    """
    return next((kind for kind in KINDS if fnmatchcase(_name(error), kind.pattern)), OTHER)


def _name(error: str) -> str:
    return error.split(":", maxsplit=1)[0]


def how_to_go_on(errors: Iterable[str], *, sent: bool = True, later: bool = True) -> list[str]:
    """Return a line for each kind of these errors: what to fix, and which command asks its rows again.

    Args:
        errors: The errors, as names or as `name: sentence`.
        sent: Whether the rows were sent to a model. One that never was has no answer to retry: the next refresh sends
            it once it fits.
        later: Whether refreshes still ask the rows of errors that pass; after `ATTEMPTS` they do not.

    Example:
        >>> how_to_go_on(["refused: no"])
        ['refused: reword the prompt, or use another model; then ask its rows again: knowflow retry --error refused']
    """
    names = sorted(set(map(_name, errors)))
    return [f"{name}: {kind_of(name).fix}; then {_asks_again(name, later=later) if sent else SENDS}" for name in names]


def _asks_again(name: str, *, later: bool) -> str:
    if later and kind_of(name).passes:
        return f"refreshes ask its rows again, at once: {retry_command([name])}"
    return f"ask its rows again: {retry_command([name])}"


def retry_command(errors: Iterable[str]) -> str:
    """Return the command that asks rows with these errors again.

    Example:
        >>> retry_command(["refused: no", "garbage: no JSON", "refused: never"])
        'knowflow retry --error garbage --error refused'
    """
    names = sorted(set(map(_name, errors)))
    return shlex.join(["knowflow", "retry", *(word for name in names for word in ("--error", name))])
