"""Where the stages of a flow report progress: the command line draws bars, a scheduled run stays quiet."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from base.progress import Progress, silent
from llm_tasks.pipeline.meter import Observe, look_away

_current: ContextVar[Progress] = ContextVar("progress", default=silent)
_observer: ContextVar[Observe] = ContextVar("observer", default=look_away)


def progress() -> Progress:
    """Return the progress callback of the current context."""
    return _current.get()


def observer() -> Observe:
    """Return the observer of generation runs in the current context."""
    return _observer.get()


@contextmanager
def reporting_to(callback: Progress, observe: Observe = look_away) -> Iterator[None]:
    """Send progress of everything inside to a callback, and readings of generation runs to an observer."""
    token, other = _current.set(callback), _observer.set(observe)
    try:
        yield
    finally:
        _current.reset(token)
        _observer.reset(other)
