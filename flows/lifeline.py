"""Keeps a child process from outliving its parent, even one that is killed: the parent holds its input open."""

import os
import sys
import threading
from collections.abc import Callable


def when_the_parent_ends(end: Callable[[], object]) -> None:
    """Call something once the parent is gone: standard input is a pipe that the parent alone holds open.

    Args:
        end: Ends this process.
    """

    def wait() -> None:
        os.read(sys.stdin.fileno(), 1)  # not sys.stdin.read: its lock would be in the way at a normal end
        end()

    threading.Thread(target=wait, daemon=True).start()
