"""A Prefect server of the test's own with our deployments, a worker, and their runs: each a process, ended by its id."""

import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.forked import Forks

ROOT = Path(__file__).resolve().parents[2]
PREFECT = [sys.executable, "-m", "prefect"]
LEASES = "prefect.server.concurrency.lease_storage.filesystem"


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def wait_until(found: Callable[[], Any], seconds: float, what: Callable[[], str] = str) -> Any:
    """Ask again and again until something is found; gives it."""
    deadline = time.monotonic() + seconds
    while not (value := found()):
        assert time.monotonic() < deadline, f"not within {seconds} seconds: {what()}"
        time.sleep(0.3)
    return value


@contextmanager
def running(command: list[str], environment: dict[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that is ended by its id."""
    with log.open("ab") as said:
        process = subprocess.Popen(command, env=environment, cwd=ROOT, stdout=said, stderr=said)
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(timeout=60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@dataclass
class Scheduled:
    """The server, and what a test does with it."""

    url: str
    environment: dict[str, str]
    folder: Path
    forks: Forks

    def call(self, *words: str, program: str = "prefect") -> str:
        """Run a command to its end; gives what it said."""
        process = self.forks.start(program, *words, environment=self.environment)
        try:
            out, err = process.communicate(timeout=300)
        finally:
            process.kill()
        assert process.returncode == 0, out + err
        return out

    def knowflow(self, *words: str) -> str:
        return self.call(*words, program="cli.main")

    def ask(self, what: str, **query: Any) -> Any:
        """Ask the server for objects of a kind."""
        return self.post(f"{what}/filter", query)

    def post(self, what: str, content: dict[str, Any]) -> Any:
        """Post to the server, again while its database is busy, as Prefect's own client does."""
        return self._answer(lambda: httpx.post(f"{self.url}/{what}", json=content, timeout=60))

    def get(self, what: str) -> Any:
        """Read from the server; one that is too busy to answer in a minute is asked again, as Prefect's own client does."""

        def given() -> httpx.Response | None:
            try:
                return httpx.get(f"{self.url}/{what}", timeout=60)
            except httpx.ReadTimeout:
                return None

        return self._answer(given)

    def _answer(self, ask: Callable[[], httpx.Response | None]) -> Any:
        def answer() -> httpx.Response | None:
            given = ask()
            return None if given is None or given.status_code == 503 else given

        return wait_until(answer, 150).raise_for_status().json()

    def worker(self, limit: int = 1) -> Any:
        """A worker, as a context."""
        command = [*PREFECT, "worker", "start", "--pool", "knowflow", "--limit", str(limit)]
        return running(command, self.environment, self.folder / "worker.log")

    def start(self, deployment: str, **parameters: Any) -> str:
        """Ask for a run of a deployment; gives its id."""
        known = self.get(f"deployments/name/{deployment}/{deployment}")
        wanted = {"state": {"type": "SCHEDULED"}, "parameters": {**known["parameters"], **parameters}}
        return self.post(f"deployments/{known['id']}/create_flow_run", wanted)["id"]

    def cancel(self, run: str) -> None:
        state = {"state": {"type": "CANCELLING", "name": "Cancelling"}}
        self.post(f"flow_runs/{run}/set_state", state)

    def state(self, run: str) -> str:
        """The name of a run's state."""
        return self.get(f"flow_runs/{run}")["state"]["name"]

    def wait(self, run: str, state: str, seconds: float) -> dict[str, Any]:
        """Wait until a run has a state; gives the run."""
        wait_until(lambda: self.state(run) == state, seconds, lambda: f"{state}: {self.get(f'flow_runs/{run}')}")
        return self.get(f"flow_runs/{run}")

    def slots(self, deployment: str) -> int:
        """How many slots of a deployment's limit are taken."""
        return self.get(f"deployments/name/{deployment}/{deployment}")["global_concurrency_limit"]["active_slots"]


@contextmanager
def scheduled(environment: dict[str, str], folder: Path, forks: Forks) -> Iterator[Scheduled]:
    """Start a server, set it up as the guide says, and deploy prefect.yaml."""
    port = free_port()
    url = f"http://127.0.0.1:{port}/api"
    known = {**environment, "PREFECT_HOME": str(folder / "home"), "PREFECT_API_URL": url, "COLUMNS": "300"}
    known |= {"PREFECT_SERVER_ANALYTICS_ENABLED": "false", "DO_NOT_TRACK": "1"}
    known |= {"PREFECT_WORKER_QUERY_SECONDS": "1", "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": LEASES}
    command = [*PREFECT, "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    with running(command, known, folder / "server.log") as process:
        wait_until(lambda: process.poll() is not None or answers(url), 180)
        assert process.poll() is None, (folder / "server.log").read_text()
        yield Scheduled(url, known, folder, forks)


def answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health").status_code == 200
    except httpx.TransportError:
        return False


def processes_below(pid: int) -> list[int]:
    """Ids of a process' children, and of theirs."""
    import psutil

    return [one.pid for one in psutil.Process(pid).children(recursive=True)]
