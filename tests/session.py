"""What the processes of one run of the tests share: a folder, one Prefect server, and shops that are made once.

With `-n 3` pytest's own process starts three workers, which inherit its environment. It holds a pipe open as long as it
lives: that is the standard input of the server, which ends with it, however it ends.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from filelock import FileLock
from hypothesis import settings

ROOT = Path(__file__).resolve().parents[1]
FOLDER = "KNOWFLOW_TESTS_FOLDER"
"""Environment variable: the folder that all workers share."""
SLOW = 20
"""Seconds; a test that takes longer says why."""
held = pytest.StashKey[int]()
"""The end of the pipe that pytest's own process holds open."""
waited = pytest.StashKey[float]()
"""Seconds that this process has spent on what all workers share: no test is slow for being the first to need it."""

settings.register_profile("here", deadline=None)  # no test depends on how busy a machine is
settings.register_profile("ci", derandomize=True, deadline=None)  # what chance finds becomes an example of its own
settings.load_profile("ci" if os.environ.get("CI") else "here")


def pytest_configure(config: pytest.Config) -> None:
    """Make the shared folder; workers find it in their environment."""
    config.stash[waited] = 0.0
    if hasattr(config, "workerinput"):
        return
    config.pluginmanager.register(SlowTests())
    folder = Path(tempfile.mkdtemp(prefix="knowflow-tests-"))
    os.mkfifo(folder / "lifeline")
    config.stash[held] = os.open(folder / "lifeline", os.O_RDWR)
    os.environ |= {
        FOLDER: str(folder),
        "PREFECT_HOME": str(folder / "prefect"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",  # as the command line sets it
        # Threads that wait for each other burn the cores that the other worker needs.
        **dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"),
    }


def pytest_unconfigure(config: pytest.Config) -> None:
    """End the server and remove the folder."""
    if held in config.stash:
        os.close(config.stash[held])
        shutil.rmtree(os.environ.pop(FOLDER), ignore_errors=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let a report of a test say why it is slow, also when it comes from a worker."""
    for item in items:
        item.user_properties += [("slow", mark.kwargs.get("reason")) for mark in item.iter_markers("slow")]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Iterator[None]:
    """Note how many seconds of a test's set-up went into what all share."""
    before = item.config.stash[waited]
    try:
        return (yield)
    finally:
        item.user_properties.append(("shared", item.config.stash[waited] - before))


class SlowTests:
    """Names the tests that took long and say no reason; none fails for it, for a machine may be busy."""

    def __init__(self) -> None:
        self._taken: dict[str, float] = defaultdict(float)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Add up set-up, call and teardown; in pytest's own process, for all workers."""
        said = dict(report.user_properties)
        if not said.get("slow"):
            shared = float(str(said.get("shared", 0))) if report.when == "setup" else 0
            self._taken[report.nodeid] += report.duration - shared

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print them, the slowest first."""
        long = sorted(((taken, test) for test, taken in self._taken.items() if taken > SLOW), reverse=True)
        if long:
            terminalreporter.section(f"over {SLOW} s without slow(reason=...)")
        for taken, test in long:
            terminalreporter.line(f"{taken:.0f} s  {test}")


@pytest.fixture(scope="session")
def made_once(pytestconfig: pytest.Config) -> Callable[[str, Callable[[Path], None]], Path]:
    """Make a folder once for all workers: give its name and what fills it; gives the folder, only to be read."""
    shared = Path(os.environ[FOLDER])

    def make(name: str, fill: Callable[[Path], None]) -> Path:
        folder, done, begun = shared / name, shared / f"{name}.done", time.monotonic()
        with FileLock(shared / f"{name}.lock"):
            if not done.exists():
                shutil.rmtree(folder, ignore_errors=True)  # of a worker that failed in the middle
                folder.mkdir()
                fill(folder)
                done.touch()
        pytestconfig.stash[waited] += time.monotonic() - begun
        return folder

    return make


def start_server(folder: Path) -> None:
    """Start a Prefect server that ends with pytest's own process, and write its address to `url`."""
    begun = folder.parent / "lifeline"
    with begun.open("rb") as lifeline, (folder / "log.txt").open("w") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "flows.server_process"],
            stdin=lifeline,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            cwd=ROOT,
            start_new_session=True,
        )
    assert server.stdout is not None  # a pipe was asked for
    url = f"http://127.0.0.1:{server.stdout.readline().strip()}/api"
    httpx.get(f"{url}/health", timeout=None).raise_for_status()  # pytest has a limit of its own
    (folder / "url").write_text(url)


@pytest.fixture(scope="session")
def prefect_server(made_once: Callable[..., Path]) -> Iterator[str]:
    """One Prefect server for all flows of all workers; gives its address."""
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogWorker
    from prefect.settings import PREFECT_API_URL, temporary_settings

    url = (made_once("server", start_server) / "url").read_text()
    with temporary_settings({PREFECT_API_URL: url}):
        yield url
        APILogWorker.instance().drain()  # before pytest's own process lets the server end
        EventsWorker.drain_all()
