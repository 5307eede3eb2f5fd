"""Setup of a child process: it ends with its parent, leaves Ctrl-C to it, and reports its progress."""

import json
import os
import signal
import sys
import threading
from collections.abc import Callable
from functools import partial

from base.faults import CheckFailed, WrongUse
from base.progress import Progress

WRONG_USE = 3
"""Exit code of a child that ends with `WrongUse`; its log is the text of the error."""


def when_the_parent_ends(end: Callable[[], object]) -> None:
    """Call a function once the parent is gone: standard input is a pipe that only the parent holds open.

    Args:
        end: Ends this process.
    """

    def wait() -> None:
        os.read(sys.stdin.fileno(), 1)  # not sys.stdin.read, whose lock would block a normal exit
        end()

    threading.Thread(target=wait, daemon=True).start()


def begin_child() -> Progress:
    """Turn this process into a child for `app.children.run_child`; call it before any slow import.

    Returns:
        A function that reports progress to the parent, one JSON list per line. All other output goes to standard error.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles it and ends this process
    when_the_parent_ends(partial(os._exit, 1))
    lines = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def report(what: str, done: int, total: int) -> None:
        lines.write(json.dumps([what, done, total]) + "\n")
        lines.flush()

    return report


def report_fault(error: WrongUse | CheckFailed) -> int:
    """Write why this child ends where its parent looks for it.

    Returns:
        The exit code to leave with, from which the parent makes the same kind of error.
    """
    sys.stderr.write(f"{error}\n")
    return WRONG_USE if isinstance(error, WrongUse) else 1
