"""Where the stages of a flow report how far they are: the command line draws bars, a scheduled run stays quiet."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from sources.progress import Progress, silent

_current: ContextVar[Progress] = ContextVar("progress", default=silent)


def progress() -> Progress:
    """The progress callback of the present context."""
    return _current.get()


@contextmanager
def reporting_to(callback: Progress) -> Iterator[None]:
    """Let everything that runs inside report to a callback."""
    token = _current.set(callback)
    try:
        yield
    finally:
        _current.reset(token)
