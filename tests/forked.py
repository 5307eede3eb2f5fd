"""Processes that tests start, signal and kill, without the four seconds of a core that their imports take.

They are forked from a process that has all imports done and nothing else: no store is open and no flow has run. Each
has an id and an output of its own, and a signal meets it as it meets any other. Where a new Python is what is tested,
as with a command's debugging output or its limits, `subprocess` starts one.
"""

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO

import pytest

ROOT = Path(__file__).resolve().parents[1]
HELPERS = Path(__file__).resolve().parent / "helpers"
IMPORTED = (
    "cli.main",
    "cli.forget",
    "cli.refresh",
    "cli.train",
    "flows.nightly",
    "app.forgetting",
    "encoders.lexical",
    "sklearn.decomposition",
)
"""What the programs of the tests import, and thereby nearly all that they need."""


class Forked:
    """A process that was forked, with the part of `subprocess.Popen` that the tests use."""

    def __init__(self, pid: int, source: "Forks", out: IO[str], err: IO[str]) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._source, self._said = source, (out, err)

    def poll(self) -> int | None:
        """Give its exit code, if it has ended."""
        return self._end(time.monotonic())

    def communicate(self, timeout: float = 600) -> tuple[str, str]:
        """Wait for its end; gives its output and what it said beside it."""
        if self._end(time.monotonic() + timeout) is None:
            raise subprocess.TimeoutExpired(f"process {self.pid}", timeout)
        out, err = self._said
        out.seek(0)
        err.seek(0)
        return out.read(), err.read()

    def send_signal(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill it, unless it has ended."""
        self.send_signal(signal.SIGKILL)

    def _end(self, deadline: float) -> int | None:
        if self.returncode is None:
            self.returncode = self._source.code(self.pid, deadline)
        return self.returncode


class Forks:
    """The process that forks, as the tests see it; it is started when it is first needed."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._control, self._theirs = socket.socketpair()
        self._heard = b""
        self._codes: dict[int, int] = {}

    def start(self, program: object, *words: object, environment: Mapping[str, str], folder: Path = ROOT) -> Forked:
        """Run a module, or a file that ends with `.py`, as a process; whoever starts it ends it."""
        out, err = (tempfile.TemporaryFile("w+", encoding="utf-8") for _ in range(2))  # noqa: SIM115 - Forked reads them
        wish = {"program": str(program), "words": [str(word) for word in words], "environment": dict(environment)}
        line = json.dumps(wish | {"folder": str(folder)}).encode() + b"\n"
        self._begin()
        sent = socket.send_fds(self._control, [line], [out.fileno(), err.fileno()])
        self._control.sendall(line[sent:])
        while not (told := self._hear(time.monotonic() + 120)) or "begun" not in told:
            assert told is not None, "the process that forks does not answer"
        return Forked(told["begun"], self, out, err)

    def code(self, pid: int, deadline: float) -> int | None:
        """Wait until a process ends; gives its exit code, if it has ended in time."""
        while pid not in self._codes and self._hear(deadline) is not None:
            pass
        return self._codes.get(pid)

    def end(self) -> None:
        """End the process that forks."""
        self._control.close()
        self._theirs.close()
        if self._process:
            self._process.wait(timeout=60)

    def _begin(self) -> None:
        if self._process is None:
            known = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(HELPERS)])}
            command = [sys.executable, str(HELPERS / "forks.py"), str(self._theirs.fileno()), *IMPORTED]
            self._process = subprocess.Popen(command, cwd=ROOT, env=known, pass_fds=[self._theirs.fileno()])
            self._theirs.close()

    def _hear(self, deadline: float) -> dict[str, int] | None:
        """Wait for the next line that comes back, and note whose end it reports."""
        while b"\n" not in self._heard:
            if not select.select([self._control], [], [], max(0, deadline - time.monotonic()))[0]:
                return None
            more = self._control.recv(65536)
            assert more, "the process that forks has ended"
            self._heard += more
        line, self._heard = self._heard.split(b"\n", 1)
        told = json.loads(line)
        if "ended" in told:
            self._codes[told["ended"]] = told["code"]
        return told


@pytest.fixture(scope="session")
def forks() -> Iterator[Forks]:
    """Processes without the time that imports take."""
    forks = Forks()
    yield forks
    forks.end()
