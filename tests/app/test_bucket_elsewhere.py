"""A store in a bucket of a real service, moto's server in an environment of its own: `make test-libraries`."""

import json
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.error import URLError
from urllib.request import Request, urlopen

import pytest
from fault_server import listen

from feature_store.bucket import Bucket, BucketConfig
from feature_store.releases import get_release, list_releases
from flows.maintain import maintain
from tests.conftest import Shop

WHY = "installs moto into an environment of its own: a minute"
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
pytestmark = [pytest.mark.libraries(reason=WHY), pytest.mark.slow(reason=WHY)]


@pytest.fixture(scope="module")
def service(python_with) -> Iterator[str]:
    """The address of a service with the bucket `knowledge`."""
    program = python_with("moto", "moto[server]==5.2.5").with_name("moto_server")
    listening = listen()
    port = listening.getsockname()[1]
    listening.close()
    address, quiet = f"http://127.0.0.1:{port}", subprocess.DEVNULL
    with subprocess.Popen([program, "-H", "127.0.0.1", "-p", str(port)], stdout=quiet, stderr=quiet) as process:
        try:
            for _ in range(600):
                try:
                    urlopen(Request(f"{address}/knowledge", method="PUT"))
                    break
                except URLError:
                    time.sleep(0.1)
            yield address
        finally:
            process.kill()


@pytest.fixture
def keys(monkeypatch) -> None:
    """Keys in the environment; the fixture `knowflow` takes those that are there when it is made."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)


@pytest.fixture
def shared(service, make_shop, request, keys) -> Shop:
    """A shop whose tables are in a prefix of its own."""
    return make_shop(store={"url": f"s3://knowledge/{request.node.name}", "endpoint": service})


def elsewhere(shop: Shop) -> Shop:
    """The same data and config on another machine, with a home of its own."""
    folder = shop.folder.with_name("elsewhere")
    shutil.copytree(shop.folder, folder, ignore=shutil.ignore_patterns("runs", "calls.txt"))
    return Shop(folder, shop.settings)


def test_a_store_is_made_released_rolled_back_checked_and_used_from_two_machines(shared, knowflow):
    config = ("--config", shared.config)
    first = knowflow.run("refresh", *config)
    other = elsewhere(shared)
    nothing = knowflow.run("refresh", "--config", other.config)
    other.write_items({f"i{place}": f"Thing {place}" for place in range(14)})
    second = knowflow.run("refresh", "--config", other.config, "--json")
    back = knowflow.run("release", "rollback", "rel-000001", *config)
    held = knowflow.run("refresh", "--config", other.config)
    lifted = knowflow.run("release", "unpin", "rel-000003", *config)
    leaks = knowflow.run("leak-check", *config)
    collected = knowflow.run("release", "gc", *config)
    dropped = maintain(config=str(shared.config))
    done = (first, nothing, second, back, held, lifted, leaks, collected)

    assert [one.returncode for one in done] == [0] * 8, [one.stderr for one in done]
    assert first.stdout.startswith("released rel-000001")
    assert "nothing is new, 0 asked" in nothing.stderr
    assert sum(task["calls"] for task in json.loads(second.stdout)["tasks"]) == 2
    assert "rel-000003 is pinned" in held.stderr
    assert "no leak found" in leaks.stderr
    assert dropped == []
    assert [one.name for one in list_releases(shared.place().store)] == ["rel-000001", "rel-000002", "rel-000003"]
    assert get_release(other.place().store).rolled_back_to == "rel-000001"
    assert len(set(shared.calls("gave")) | set(other.calls("gave"))) == 20 + 2
    assert not list(shared.folder.rglob("*.lance"))


def test_a_second_writer_is_refused_and_a_killed_run_goes_on_at_once(shared, knowflow):
    shared.configure(options={"seconds": 0.3})
    config, other = ("--config", shared.config), elsewhere(shared)
    process = knowflow.start("refresh", *config)
    try:
        while len(shared.calls("gave")) < 5:
            assert process.poll() is None, process.communicate()
            time.sleep(0.05)
        refused = knowflow.run("refresh", "--config", other.config)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    finally:
        process.kill()
    still = knowflow.run("refresh", "--config", other.config)
    before = len(shared.calls("gave"))
    shared.configure(options={"seconds": 0.0})
    again = knowflow.run("refresh", *config)

    assert (refused.returncode, still.returncode) == (2, 2)
    assert "another process is writing: " in refused.stderr
    assert "if it was killed, its lock ends at" in still.stderr
    assert again.returncode == 0, again.stderr
    assert other.calls() == []
    assert before < 20 <= len(shared.calls("gave")) <= 21  # only what was under way is asked twice
    assert len(set(shared.calls("gave"))) == 20


def test_what_works_on_files_works_on_a_copy_of_the_objects_and_no_secret_is_written_anywhere(shared, knowflow):
    config, other = ("--config", shared.config), elsewhere(shared)
    made = [knowflow.run("refresh", *config), knowflow.run("refresh", "--config", other.config)]
    objects = Bucket.of(BucketConfig(**shared.settings["store"]), shared.folder).objects
    whole = knowflow.run("verify", *config)
    planned = knowflow.run("forget", "u1", *config)
    forgotten = knowflow.run("forget", "u1", "--yes", *config)
    rows = [row for row in shared.lineage("kar_user").values() if row["entity"] == "u1"]
    asked = knowflow.run("refresh", "--config", other.config)
    still = knowflow.run("verify", *config)
    size, file = max((size, name) for name, size in objects.sizes().items() if name.startswith("vectors_"))
    objects.write(file, bytes(size))
    damaged = knowflow.run("verify", *config)
    mended = knowflow.run("repair", "--yes", *config)
    again = [knowflow.run("refresh", *config), knowflow.run("verify", *config)]
    told = [*made, whole, planned, forgotten, asked, still, mended, *again, knowflow.run("doctor", *config)]

    assert [one.returncode for one in told[:-1]] == [0] * 10, [one.stderr for one in told]
    assert "of them without a checksum" not in whole.stderr
    assert "kar_user: 2 rows" in planned.stdout
    assert "old versions of objects that the bucket keeps" in forgotten.stderr
    assert rows == []
    assert "left out 5 rows of 1 user who asked to be forgotten" in asked.stderr
    assert damaged.returncode == 1
    assert f"{file} (table vectors_" in damaged.stdout
    assert len(set(shared.calls("gave")) | set(other.calls("gave"))) == 20
    assert not list(shared.folder.rglob("*.lance"))
    assert not any(SECRET in one.stdout + one.stderr for one in told)
    files = [path for path in Path(shared.folder).rglob("*") if path.is_file()]
    assert not any(SECRET.encode() in path.read_bytes() for path in files)


def test_a_store_is_copied_there_and_back_through_a_kill_and_no_answer_is_asked_again(
    service, keys, make_shop, knowflow, tmp_path
):
    shop = make_shop()
    config, there = ("--config", shop.config), "s3://knowledge/copied/shop"
    made = knowflow.run("refresh", *config)
    held = knowflow.run("release", "rollback", "rel-000001", *config)
    process = knowflow.start("copy-store", "--to", there, "--endpoint", service, *config)
    try:
        bucket = Bucket(there, BucketConfig(url=there, endpoint=service).options, tmp_path / "nobody")
        while len(bucket.objects.sizes()) < 10:
            assert process.poll() is None, process.communicate()
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    finally:
        process.kill()
    shop.configure(store={"url": there, "endpoint": service})
    early = knowflow.run("status", *config)
    shop.settings.pop("store")
    shop.configure()
    copied = knowflow.run("copy-store", "--to", there, "--endpoint", service, *config)
    twice = knowflow.run("copy-store", "--to", there, "--endpoint", service, *config)
    shutil.rmtree(shop.folder / "runs" / "store")
    shop.configure(store={"url": there, "endpoint": service})
    used = knowflow.run("refresh", *config)
    lifted = knowflow.run("release", "unpin", "rel-000002", *config)
    nothing = knowflow.run("refresh", *config)
    back = knowflow.run("copy-store", "--to", shop.folder / "runs", *config)
    shop.settings.pop("store")
    shop.configure()
    home = [knowflow.run(command, *config) for command in ("refresh", "verify", "leak-check")]
    done = (made, held, copied, used, lifted, nothing, back, *home)

    assert [one.returncode for one in done] == [0] * 10, [one.stderr for one in done]
    assert (early.returncode, twice.returncode) == (2, 2)
    assert "was not finished: this is no store yet" in early.stderr
    assert f"  store:\n    url: {there}\n    endpoint: {service}\n" in copied.stdout
    assert "there is a copy of this store already" in twice.stderr
    assert "rel-000002 is pinned" in used.stderr
    assert "leave out store: and set in knowflow.yaml" in back.stderr
    assert back.stdout.endswith("  home: runs\n")
    assert len(shop.calls("gave")) == 20
    assert [one.name for one in list_releases(shop.place().store)][:2] == ["rel-000001", "rel-000002"]


def test_a_service_that_does_not_answer_and_a_bucket_that_is_not_there_are_told(shared, service, plain_knowflow):
    shared.configure(store={"url": "s3://not-there/shop", "endpoint": service})
    missing = plain_knowflow.run("status", "--config", shared.config)
    shared.configure(store={"url": "s3://knowledge/shop", "endpoint": "http://127.0.0.1:1"})
    silent = plain_knowflow.run("status", "--config", shared.config)

    assert (missing.returncode, silent.returncode) == (2, 2)
    words = (
        "s3://not-there/shop: the service says: The specified bucket does not exist (NoSuchBucket)\n  check store: in"
    )
    assert missing.stderr.startswith(words)
    assert silent.stderr.startswith("s3://knowledge/shop: the service does not answer\n  check store: in knowflow.yaml")
