"""Where the stages of a flow say how far they are: the command line draws bars, a scheduled run stays quiet."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from base.progress import Progress, silent
from llm_tasks.pipeline.meter import Observe, look_away

_current: ContextVar[Progress] = ContextVar("progress", default=silent)
_observer: ContextVar[Observe] = ContextVar("observer", default=look_away)


def progress() -> Progress:
    """The progress callback of the present context."""
    return _current.get()


def observer() -> Observe:
    """Who is told how a generation run goes in the present context."""
    return _observer.get()


@contextmanager
def reporting_to(callback: Progress, observe: Observe = look_away) -> Iterator[None]:
    """Let everything that runs inside report to a callback, and generation runs to an observer as well."""
    token, other = _current.set(callback), _observer.set(observe)
    try:
        yield
    finally:
        _current.reset(token)
        _observer.reset(other)
