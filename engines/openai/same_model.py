"""Compare the model that a server says answered with the one that was asked for."""

import re

DATED = re.compile(r"[-@:._](20\d\d-?\d\d-?\d\d|\d{3,4}|v\d+(\.\d+)*|latest)")
"""What services add to the name of a model: the date or the number of the version that the name stands for today."""


def same_model(asked: str, said: str) -> bool:
    """Return whether two names mean one model: equal, in another folder, or with its date or version added.

    Example:
        >>> same_model("Qwen/Qwen3-8B", "qwen3-8b"), same_model("gpt-4o", "gpt-4o-2024-08-06")
        (True, True)
        >>> same_model("gpt-4o", "gpt-4o-mini")
        False
    """
    one, other = (_base(name) for name in (asked, said))
    return other.startswith(one) and (other == one or DATED.fullmatch(other.removeprefix(one)) is not None)


def _base(name: str) -> str:
    """Return the last part of a path or an owner's name, in lower case, without a `latest` at its end."""
    return re.sub(r"[-:@]latest$", "", re.split(r"[/\\]", name.strip().rstrip("/\\"))[-1].lower())
