"""`knowflow doctor` without Prefect: each thing that it looks at is really broken once."""

import json
import os
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest

from app.config import load_config
from app.doctor import Finding, check_disk, check_versions, examine
from feature_store.releases import publish

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)


def found(shop, now: datetime | None = None) -> dict[str, Finding]:
    return {one.name: one for one in examine(load_config(shop.config), now or datetime.now(UTC))}


def levels(findings: dict[str, Finding]) -> dict[str, str]:
    return {name: one.level for name, one in findings.items() if one.level != "ok"}


@pytest.fixture
def well(shop, plain_knowflow):
    """A shop with a release whose files were checked."""
    shop.release("kar_item")
    assert plain_knowflow.run("verify", "--config", shop.config).returncode == 0
    return shop


def test_a_shop_that_is_well_has_nothing_to_fix(well, plain_knowflow):
    findings = found(well)

    assert levels(findings) == {}
    assert not any(one.command for one in findings.values())
    done = plain_knowflow.run("doctor", "--config", well.config, "--no-schedules")
    assert (done.returncode, done.stderr) == (0, "nothing is bad\n")
    assert "ok    releases     rel-000001, made " in done.stdout


def test_a_new_project_is_told_what_to_run_first(shop):
    findings = found(shop)

    assert levels(findings) == dict.fromkeys(["store", "releases", "verified"], "warn")
    assert [findings[name].command for name in ("store", "verified")] == ["knowflow refresh", "knowflow verify"]
    assert not (shop.folder / "runs").exists()


def test_a_version_that_was_not_tested_is_named(tmp_path):
    lock = tmp_path / "requirements.lock"
    lock.write_text(
        "# uv pip compile a==b\nprefect==3.7.0 \\\n    --hash=sha256:ab==\nvllm==0.32.0\npolars==2.0.0+cpu\n"
    )

    finding = check_versions(lock)

    assert (finding.level, finding.command) == ("warn", "pip install -r requirements.lock")
    assert "prefect 3.7.7, tested with 3.7.0" in finding.what
    assert check_versions(tmp_path / "none.lock").level == "ok"


def test_broken_data_is_bad_with_its_faults(well):
    (well.folder / "events.parquet").write_bytes(b"no parquet")

    finding = found(well)["data"]

    assert finding.level == "bad"
    assert "events.parquet" in finding.what


def test_an_event_and_a_release_of_the_future_are_bad_clocks(well):
    events = well.events()
    user, item, _, rating = events[-1]
    well.write_events([*events, (user, item, datetime.now(UTC) + timedelta(hours=1), rating)])

    assert found(well)["data"].level == "bad"
    assert "lies in the future" in found(well)["data"].what
    an_hour_ago = found(well, datetime.now(UTC) - timedelta(hours=1))["releases"]  # the clock has jumped back
    assert (an_hour_ago.level, an_hour_ago.command) == ("bad", "timedatectl")


def test_a_store_that_is_gone_or_old_or_pinned_is_named_with_its_command(well):
    store = well.folder / "runs" / "store"
    identity = (store / "store.json").read_text()
    with well.place().store.writer("a test") as writer:
        publish(writer, {})
    os.rename(store, store.with_name("moved"))
    gone = found(well)["store"]
    assert gone.level == "bad"
    assert "is gone" in gone.what
    assert "--new-store" in gone.command
    os.rename(store.with_name("moved"), store)
    (store / "store.json").write_text(json.dumps({**json.loads(identity), "format": 99}))
    assert "newer KnowFlow" in found(well)["store"].what
    (store / "store.json").write_text(identity)

    assert levels(found(well)) == {}


def test_a_held_release_and_a_damaged_file_are_named(well, plain_knowflow):
    plain_knowflow.run("release", "pin", "rel-000001", "--config", well.config)
    pinned = found(well)["releases"]
    assert (pinned.level, pinned.command) == ("warn", "knowflow release unpin rel-000002")
    (file, *_) = sorted((well.folder / "runs" / "store" / "answers.lance" / "data").glob("*.lance"))
    content = bytearray(file.read_bytes())
    content[len(content) // 3] ^= 0xFF
    file.write_bytes(bytes(content))
    assert plain_knowflow.run("verify", "--config", well.config).returncode == 1

    finding = found(well)["verified"]

    assert finding.level == "bad"
    assert "1 damaged" in finding.what
    assert plain_knowflow.run("doctor", "--config", well.config, "--no-schedules").returncode == 1


def test_a_check_of_two_weeks_ago_is_too_old(well):
    finding = found(well, datetime.now(UTC) + timedelta(days=14))["verified"]

    assert (finding.level, finding.command) == ("warn", "knowflow verify")


@pytest.mark.parametrize(("free", "level"), [(2e9, "ok"), (9e8, "warn"), (1e8, "bad")])
def test_a_disk_is_full_before_the_store_cannot_be_written(well, free, level):
    finding = check_disk(load_config(well.config), lambda _: SimpleNamespace(free=free))

    assert finding.level == level


@pytest.fixture
def serve() -> Iterator:
    """Start a model server that answers /models with a code and a list."""
    servers = []

    def start(code: int, models: list[str]) -> str:
        class Page(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append(self.path)
                self.send_response(code)
                self.end_headers()
                self.wfile.write(json.dumps({"data": [{"id": one} for one in models]}).encode())

            def log_message(self, *_: object) -> None:
                """Stay quiet."""

        asked: list[str] = []
        server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}/v1"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    ("code", "models", "level", "words"),
    [
        (200, ["Qwen/Qwen3-8B"], "ok", "has the model"),
        (200, ["other"], "bad", "does not have the model qwen3-8b, but other"),
        (401, [], "bad", "rejects the key (HTTP 401)"),
        (404, [], "ok", "answers, and has no list of models"),
        (500, [], "bad", "answers with HTTP 500"),
        (None, [], "bad", "cannot be reached: "),
    ],
)
def test_a_model_server_is_asked_for_its_models_and_for_nothing_else(shop, serve, code, models, level, words):
    url = serve(code, models) if code else "http://127.0.0.1:9/v1"
    shop.configure(engine={"name": "openai", "model": "qwen3-8b", "options": {"urls": url}})

    finding = found(shop)["engine"]

    assert (finding.level, words in finding.what) == (level, True), finding
    assert bool(finding.command) == (level == "bad")


def test_the_folder_of_a_home_that_is_missing_is_its_parents_disk(shop, tmp_path):
    shop.configure(home=str(tmp_path / "deep" / "er"))

    assert (
        check_disk(
            load_config(shop.config), lambda folder: SimpleNamespace(free=2e9 if folder == Path(tmp_path) else 0)
        ).level
        == "ok"
    )
