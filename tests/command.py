"""The command line under test: in this process, which saves seconds a call, or as a process of its own."""

import io
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from tests.forked import Forked, Forks

ROOT = Path(__file__).resolve().parents[1]
HELPERS = Path(__file__).resolve().parent / "helpers"


def environment_of(server: str | None, home: Path) -> dict[str, str]:
    """Give the environment of a command: the tests' engine on its path, and a Prefect server if there is one."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(HELPERS)]),
        "PREFECT_HOME": str(home),
        "COLUMNS": "200",
    }
    environment.pop("PREFECT_API_URL", None)
    return environment | ({"PREFECT_API_URL": server} if server else {})


class Knowflow:
    """The command line with the tests' engine on its path, and the tests' Prefect server if there is one."""

    def __init__(self, server: str | None, home: Path, forks: Forks) -> None:
        self.root = ROOT
        self.environment = environment_of(server, home)
        self._forks = forks

    def run(self, *arguments: object) -> subprocess.CompletedProcess[str]:
        """Run a command to its end in this process; gives its exit code and all it wrote."""
        from cli.main import main

        words = [str(argument) for argument in arguments]
        out, err = io.StringIO(), io.StringIO()
        with as_a_command(words, self.root), redirect_stdout(out), redirect_stderr(err):
            try:
                main(words)
            except SystemExit as left:
                code = left.code
        return subprocess.CompletedProcess(words, int(code or 0), out.getvalue(), err.getvalue())

    def run_apart(self, *arguments: object) -> subprocess.CompletedProcess[str]:
        """Run a command to its end in a new Python, where one is what is tested."""
        return subprocess.run(
            [sys.executable, "-m", "cli.main", *map(str, arguments)],
            cwd=self.root,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    def run_forked(self, *arguments: object) -> subprocess.CompletedProcess[str]:
        """Run a command to its end in a process with an environment of its own."""
        process = self.start(*arguments)
        try:
            out, err = process.communicate(timeout=300)
        finally:
            process.kill()
        return subprocess.CompletedProcess(arguments, int(process.returncode or 0), out, err)

    def start(self, *arguments: object) -> Forked:
        """Start a command as a process; whoever starts it ends it."""
        return self._forks.start("cli.main", *arguments, environment=self.environment)


@contextmanager
def as_a_command(words: list[str], folder: Path) -> Iterator[None]:
    """Let this process look like one that a command has to itself, and put back afterwards what a command changes."""
    from cli.main import TO_THE_USER

    loggers = [logging.getLogger(name) for name in TO_THE_USER]
    before = [(logger.handlers[:], logger.propagate) for logger in loggers]
    interrupted = signal.getsignal(signal.SIGINT)
    with pytest.MonkeyPatch.context() as patch, chdir(folder):
        patch.setattr(sys, "argv", ["knowflow", *words])
        patch.setenv("COLUMNS", "200")
        try:
            yield
        finally:
            for logger, (handlers, propagate) in zip(loggers, before, strict=True):
                logger.handlers[:], logger.propagate = handlers, propagate
            signal.signal(signal.SIGINT, interrupted)


@pytest.fixture
def knowflow(prefect_server: str, tmp_path: Path, forks: Forks) -> Knowflow:
    """Run `knowflow ...` with a Prefect server."""
    return Knowflow(prefect_server, tmp_path / "prefect", forks)


@pytest.fixture(scope="session")
def prefect_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where temporary servers keep their database; making one takes several seconds."""
    return tmp_path_factory.mktemp("prefect")


@pytest.fixture
def plain_knowflow(prefect_home: Path, forks: Forks) -> Knowflow:
    """The same without a server: for commands that need none, or whose process starts one for itself."""
    return Knowflow(None, prefect_home, forks)
