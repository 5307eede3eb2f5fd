"""Progress reports of long steps."""

from collections.abc import Callable

Progress = Callable[[str, int, int], None]
"""Called with the name of the step, how much is done, and the total."""


def silent(what: str, done: int, total: int) -> None:
    """Report nothing."""
