"""The Prefect server of a command: the user's own, or one that ends with the command."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import httpx

from base.faults import WrongUse

SECONDS_TO_START = 180
"""A busy machine may need that long."""
_started: list[subprocess.Popen[str]] = []
"""Kept until this process ends: Prefect sends its last events when Python shuts down."""


@contextmanager
def prefect_server() -> Iterator[str]:
    """Run flows against the user's Prefect server, or against a temporary one if none is set.

    Yields:
        Its address.

    Raises:
        WrongUse: The server does not answer.
    """
    # Imported here, because Prefect takes a second to import.
    from prefect.settings import PREFECT_API_URL, temporary_settings  # noqa: PLC0415

    url = PREFECT_API_URL.value()
    if url:
        _ask(url, "start it: prefect server start; or use a temporary one: prefect config unset PREFECT_API_URL")
        yield url
        return
    url = _start()
    with temporary_settings({PREFECT_API_URL: url}):
        yield url


def _ask(url: str, fix: str) -> None:
    try:
        httpx.get(f"{url}/health", timeout=SECONDS_TO_START)
    except httpx.HTTPError as error:
        raise WrongUse(f"{url}: no Prefect server answers there: {error}\n  {fix}") from error


@cache
def _start() -> str:
    """Start a server that ends with this process."""
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "flows.server_process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=said,
            text=True,
            cwd=Path(__file__).resolve().parents[1],
            start_new_session=True,  # Ctrl-C is for the flow, which still has to report to the server
        )
        _started.append(process)
        assert process.stdout is not None  # stdout is a pipe
        url = f"http://127.0.0.1:{process.stdout.readline().strip()}/api"
        try:
            _ask(url, "")
        except WrongUse as error:
            process.kill()
            said.seek(0)
            last = "\n".join(said.read().strip().splitlines()[-5:])
            raise WrongUse(f"a temporary Prefect server did not start\n{last}") from error
    return url
