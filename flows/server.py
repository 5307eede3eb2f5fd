"""The Prefect server of a command: the user's own, or a temporary one that ends with the command."""

import os
import subprocess
import sys
import tempfile
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import httpx

from base.faults import WrongUse

SECONDS_TO_START = 180
"""A busy machine may need that long."""
LOCAL = "127.0.0.1"
NO_PROXY = ("NO_PROXY", "no_proxy")
_started: list[subprocess.Popen[str]] = []
"""Kept until this process ends: Prefect sends its last events when Python shuts down."""


@contextmanager
def prefect_server(home: Path) -> Iterator[str]:
    """Run flows against the user's Prefect server, or against a temporary one if none is set.

    Inside a run of another flow it is that run's server, whatever it is. The temporary server is alone in its own
    world: its database is under PREFECT_HOME if that is set, else under `home`, no other Prefect setting of the user
    reaches it, and it is never asked through a proxy.

    Args:
        home: Folder of the store, the training runs and the reports.

    Yields:
        Its address.

    Raises:
        WrongUse: The server does not answer, or what answers is no Prefect server.
    """
    # Imported here, because Prefect takes a second to import.
    from prefect.context import FlowRunContext, TaskRunContext  # noqa: PLC0415
    from prefect.settings import (  # noqa: PLC0415
        PREFECT_API_AUTH_STRING,
        PREFECT_API_KEY,
        PREFECT_API_URL,
        temporary_settings,
    )

    if FlowRunContext.get() or TaskRunContext.get():
        yield PREFECT_API_URL.value() or "the temporary server of the run"
        return
    if PREFECT_API_URL.value():
        yield own_server()
        return
    for name in NO_PROXY:
        os.environ[name] = ",".join(filter(None, [os.environ.get(name), LOCAL]))
    url = _start(Path(os.environ.get("PREFECT_HOME") or home / "prefect"))
    with temporary_settings({PREFECT_API_URL: url}, restore_defaults={PREFECT_API_AUTH_STRING, PREFECT_API_KEY}):
        yield url


def own_server() -> str:
    """Return the address of the user's Prefect server, which answers there.

    Raises:
        WrongUse: None is set, it does not answer, or what answers is no Prefect server.
    """
    from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_KEY, PREFECT_API_URL  # noqa: PLC0415

    url = PREFECT_API_URL.value()
    if not url:
        raise WrongUse(
            "PREFECT_API_URL is not set: scheduled runs need a Prefect server that goes on running\n"
            "  start one: prefect server start; then: export PREFECT_API_URL=http://127.0.0.1:4200/api"
        )
    check_server(url, credentials(PREFECT_API_AUTH_STRING.value(), PREFECT_API_KEY.value()))
    return url


def check_server(url: str, headers: Mapping[str, str]) -> None:
    """Check that a Prefect server answers at an address.

    Args:
        url: The address, as in PREFECT_API_URL.
        headers: Credentials.

    Raises:
        WrongUse: Nothing answers, the credentials are rejected, or something else answers.
    """
    # Prefect Cloud has no version, but answers about its health.
    page = "health" if "/accounts/" in url else "admin/version"
    try:
        answer = httpx.get(f"{url.rstrip('/')}/{page}", headers=dict(headers), timeout=SECONDS_TO_START)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise WrongUse(
            f"{url}: no Prefect server answers there: {error}\n"
            "  start it: prefect server start; or use a temporary one: prefect config unset PREFECT_API_URL"
        ) from error
    if answer.status_code in (401, 403):
        fix = "set PREFECT_API_AUTH_STRING=user:password, or PREFECT_API_KEY for Prefect Cloud"
        raise WrongUse(f"{url}: the Prefect server rejects the credentials (HTTP {answer.status_code})\n  {fix}")
    if answer.status_code != 200 or not isinstance(_content(answer), str | bool):
        what = "and" if url.rstrip("/").endswith("/api") else "which usually ends in /api, and"
        raise WrongUse(
            f"{url}: what answers there is no Prefect server (HTTP {answer.status_code} for /{page})\n"
            f"  PREFECT_API_URL holds this address, {what} may be that of another program: correct it"
            " (prefect config set PREFECT_API_URL=http://HOST:4200/api), or unset it for a temporary server"
        )


def _content(answer: httpx.Response) -> object:
    try:
        return answer.json()
    except ValueError:
        return None


def credentials(auth: object, key: object) -> dict[str, str]:
    """Return the headers that Prefect's own client sends."""
    auth, key = (getattr(one, "get_secret_value", lambda one=one: one)() for one in (auth, key))
    if auth:
        return {"Authorization": f"Basic {b64encode(str(auth).encode()).decode()}"}
    return {"Authorization": f"Bearer {key}"} if key else {}


@cache
def _start(home: Path) -> str:
    """Start a server that ends with this process.

    Args:
        home: Folder of its database.
    """
    try:
        home.mkdir(parents=True, exist_ok=True)  # Prefect does not create parent folders
    except OSError as error:
        raise WrongUse(f"{home}: the temporary Prefect server cannot write there: {error.strerror}\n  {_FIX}") from None
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "flows.server_process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=said,
            text=True,
            cwd=Path(__file__).resolve().parents[1],
            env=_environment(home),
            start_new_session=True,  # Ctrl-C is for the flow, which still has to report to the server
        )
        _started.append(process)
        assert process.stdout is not None  # stdout is a pipe
        url = f"http://{LOCAL}:{process.stdout.readline().strip()}/api"
        try:
            httpx.get(f"{url}/health", timeout=SECONDS_TO_START, trust_env=False).raise_for_status()
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            process.kill()
            said.seek(0)
            last = "\n".join(f"  {line}" for line in said.read().strip().splitlines()[-5:])
            raise WrongUse(
                f"a temporary Prefect server did not start; its database is {home / 'prefect.db'}\n{last}\n  {_FIX}"
            ) from error
    return url


_FIX = "set PREFECT_HOME to a folder of its own, or PREFECT_API_URL to a server of yours"


def _environment(home: Path) -> dict[str, str]:
    """Return the environment of the temporary server: that of the user without any setting of Prefect."""
    kept = {name: value for name, value in os.environ.items() if not name.upper().startswith("PREFECT_")}
    return kept | {
        "PREFECT_HOME": str(home),
        "PREFECT_PROFILES_PATH": str(home / "profiles.toml"),
        "PREFECT_RESULTS_LOCAL_STORAGE_PATH": str(home / "results"),
        "PREFECT_SERVER_MEMO_STORE_PATH": str(home / "memo.toml"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    }
