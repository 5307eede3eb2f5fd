"""The temporary Prefect server is alone in its own world, and what answers at the user's address is asked who it is."""

import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from base.faults import WrongUse
from flows.server import check_server


class Page(BaseHTTPRequestHandler):
    """Answers every request in the same way."""

    code, body, wanted = 200, b'"3.7.7"', ""

    def do_GET(self) -> None:
        code = self.code if not self.wanted or self.headers.get("Authorization") == self.wanted else 401
        self.send_response(code)
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *_: object) -> None:
        """Stay quiet."""


@pytest.fixture
def serve() -> Iterator:
    servers = []

    def start(code: int = 200, body: bytes = b'"3.7.7"', wanted: str = "") -> str:
        handler = type("Here", (Page,), {"code": code, "body": body, "wanted": wanted})
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}/api"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_a_prefect_server_is_recognised_with_the_credentials_it_wants(serve):
    check_server(serve(wanted="Basic YWRtaW46cGFzcw=="), {"Authorization": "Basic YWRtaW46cGFzcw=="})

    with pytest.raises(WrongUse, match=r"rejects the credentials \(HTTP 401\)\n  set PREFECT_API_AUTH_STRING"):
        check_server(serve(wanted="Basic YWRtaW46cGFzcw=="), {})


@pytest.mark.parametrize(("code", "body"), [(404, b"not here"), (200, b"<html>a page</html>"), (200, b'{"a": 1}')])
def test_another_program_at_the_address_is_named_as_such(serve, code, body):
    with pytest.raises(WrongUse, match=r"what answers there is no Prefect server \(HTTP \d+ for /admin/version\)"):
        check_server(serve(code, body), {})


def test_the_real_server_answers_and_its_address_without_api_is_explained(prefect_server):
    check_server(prefect_server, {})

    with pytest.raises(WrongUse, match="which usually ends in /api"):
        check_server(prefect_server.removesuffix("/api"), {})


def test_an_address_where_nobody_listens_names_both_ways_out():
    with pytest.raises(WrongUse, match=r"(?s)no Prefect server answers there: .*prefect server start; or use a temp"):
        check_server("http://127.0.0.1:9/api", {})


START = """
import sys
from pathlib import Path
from flows.server import prefect_server
with prefect_server(Path(sys.argv[1])) as url:
    from prefect.client.orchestration import get_client
    with get_client(sync_client=True) as client:
        print(client.api_version(), client.read_work_pools())
"""


def begin(home, **environment: str) -> subprocess.CompletedProcess[str]:
    plain = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    return subprocess.run(
        [sys.executable, "-c", START, str(home)],
        env=plain | {"PREFECT_SERVER_ANALYTICS_ENABLED": "false"} | environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow(reason="starts real servers of Prefect, each with a database of its own")
def test_no_setting_of_the_user_reaches_the_temporary_server(tmp_path):
    mine = tmp_path / "mine.db"

    done = begin(
        tmp_path / "home",
        HOME="/proc/1/nope",  # cannot be written
        HTTP_PROXY="http://127.0.0.1:9",  # where nobody listens
        http_proxy="http://127.0.0.1:9",
        ALL_PROXY="http://127.0.0.1:9",
        PREFECT_SERVER_API_AUTH_STRING="admin:pass",
        PREFECT_SERVER_API_BASE_PATH="/prefect/api",
        PREFECT_SERVER_DATABASE_CONNECTION_URL=f"sqlite+aiosqlite:///{mine}",
        PREFECT_API_AUTH_STRING="someone:else",
    )

    assert (done.returncode, done.stdout) == (0, "3.7.7 []\n"), done.stderr
    assert not mine.exists()
    assert (tmp_path / "home" / "prefect" / "prefect.db").is_file()


@pytest.mark.slow(reason="starts real servers of Prefect, each with a database of its own")
def test_a_database_of_a_newer_prefect_is_named_with_the_way_out(tmp_path):
    home = tmp_path / "own"
    home.mkdir()
    with sqlite3.connect(home / "prefect.db") as database:
        database.execute("create table alembic_version (version_num varchar(32) not null)")
        database.execute("insert into alembic_version values ('f00dfeedf00d')")

    done = begin(tmp_path / "home", PREFECT_HOME=str(home))

    last = done.stderr.split("base.faults.WrongUse: ")[-1]
    assert last.startswith(f"a temporary Prefect server did not start; its database is {home / 'prefect.db'}\n")
    assert "f00dfeedf00d" in last
    assert last.endswith("set PREFECT_HOME to a folder of its own, or PREFECT_API_URL to a server of yours\n")


def test_a_home_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "home").write_text("a file is in its place")

    done = begin(tmp_path / "home")

    last = done.stderr.split("base.faults.WrongUse: ")[-1]
    assert last.startswith(f"{tmp_path / 'home' / 'prefect'}: the temporary Prefect server cannot write there: ")
