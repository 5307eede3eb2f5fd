"""Forks processes that have imported everything and done nothing: `python forks.py SOCKET MODULE ...`.

Each line that arrives at the socket is a JSON object that says what a process is to run, with two files for its output.
A line goes back when it has begun, and another one when it has ended. `tests.forked` is the other side.
"""

import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import sys
import warnings
from typing import Any


def main(control: socket.socket) -> dict[str, Any]:
    """Fork whatever is asked for, until the other side is gone; returns in the forked processes alone, with the wish."""
    woken, waker = socket.socketpair()
    waker.setblocking(False)
    signal.set_wakeup_fd(waker.fileno())
    signal.signal(signal.SIGCHLD, lambda *_: None)
    while True:
        ready, _, _ = select.select([control, woken], [], [])
        if woken in ready:
            woken.recv(4096)
            report_ended(control)
        if control not in ready:
            continue
        line, files = receive(control)
        if not line:
            sys.exit()
        pid = os.fork()
        if not pid:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.dup2(files[0], 1)
            os.dup2(files[1], 2)
        for file in files:
            os.close(file)
        if not pid:
            for one in (control, woken, waker):
                one.close()
            return json.loads(line)
        tell(control, begun=pid)


def receive(control: socket.socket) -> tuple[bytes, list[int]]:
    """Receive one line and the files that came with it."""
    line, files, _, _ = socket.recv_fds(control, 65536, 2)
    while line and not line.endswith(b"\n"):
        line += control.recv(65536)
    return line, files


def report_ended(control: socket.socket) -> None:
    """Report every process that has ended, as `subprocess` counts exit codes."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not pid:
            return
        tell(control, ended=pid, code=os.waitstatus_to_exitcode(status))


def tell(control: socket.socket, **what: int) -> None:
    """Send one line."""
    control.sendall(json.dumps(what).encode() + b"\n")


def become(wish: dict[str, Any]) -> None:
    """Run a program in this process as if it had been started with these words, in this environment and folder."""
    os.environ.clear()
    os.environ.update(wish["environment"])
    os.chdir(wish["folder"])
    sys.path[:0] = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    if "prefect" in sys.modules:
        from prefect.context import refresh_global_settings_context  # it has read the environment when it was imported

        refresh_global_settings_context()
    sys.argv = [wish["program"], *wish["words"]]
    if wish["program"].endswith(".py"):
        runpy.run_path(wish["program"], run_name="__main__")
    else:
        if not hasattr(sys.modules.get(wish["program"]), "__path__"):
            sys.modules.pop(wish["program"], None)  # it becomes `__main__`
        runpy.run_module(wish["program"], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    for module in sys.argv[2:]:
        importlib.import_module(module)
    # LanceDB starts its threads anew in the child; there is nothing of its state that a fork could meet half done.
    warnings.filterwarnings("ignore", "lancedb fork support", RuntimeWarning)
    gc.freeze()  # what is never collected is never copied
    become(main(socket.socket(fileno=int(sys.argv[1]))))
