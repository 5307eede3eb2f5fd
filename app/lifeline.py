"""What a child process owes its parent: it ends with it, leaves Ctrl-C to it, and tells how far it is."""

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
    """Call something once the parent is gone: standard input is a pipe that the parent alone holds open.

    Args:
        end: Ends this process.
    """

    def wait() -> None:
        os.read(sys.stdin.fileno(), 1)  # not sys.stdin.read: its lock would be in the way at a normal end
        end()

    threading.Thread(target=wait, daemon=True).start()


def begin_child() -> Progress:
    """Make this process a child that `app.children.run_child` understands; called before anything slow is imported.

    Returns:
        Tells the parent how far this is, one JSON list a line. All else that is written goes to standard error.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever sends it: it is for the parent, which ends this
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
