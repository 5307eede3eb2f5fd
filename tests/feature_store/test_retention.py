"""Old releases go, what is in use stays, and the disk space comes back: sixty nights need no more than a few."""

import os
import random
from datetime import UTC, datetime, timedelta

import lance
import pyarrow as pa
import pytest

from app.train_runs import models_folder, new_run, releases_in_use
from feature_store.database import Store
from feature_store.files import join_small_files
from feature_store.releases import Release, get_release, list_releases, publish, read_copy, roll_back
from feature_store.retention import KeepConfig, collect, disk_use, to_drop
from feature_store.schemas import key_field
from feature_store.verify import verify

NOW = datetime(2026, 3, 1, tzinfo=UTC)
SCHEMA = pa.schema([key_field("key"), pa.field("value", pa.binary())])


def released(*days_ago: int, points: dict[int, int] | None = None) -> list[Release]:
    """Releases 1, 2, ... so many days old; `points`: number of a release -> the one it points to."""
    points = points or {}
    names = {number: f"rel-{number:06d}" for number in range(1, len(days_ago) + 1)}
    return [
        Release(names[number], NOW - timedelta(days=days), names.get(points.get(number, 0)), {}, {})
        for number, days in enumerate(days_ago, start=1)
    ]


def numbers(releases: list[Release]) -> list[int]:
    return [int(release.name[-6:]) for release in releases]


@pytest.mark.parametrize(
    ("keep", "gone"),
    [
        (KeepConfig(releases=2, days=0), [1, 2, 3]),
        (KeepConfig(releases=1, days=10), [1, 2]),  # the third is nine days old
        (KeepConfig(releases=5, days=0), []),
        (KeepConfig(releases=1, days=9), [1, 2]),  # a release of just nine days is not older than nine days
        (KeepConfig(releases=1, days=100), []),
    ],
)
def test_a_release_goes_when_it_is_neither_new_nor_young(keep, gone):
    assert numbers(to_drop(released(40, 20, 9, 5, 1), keep, NOW)) == gone


def test_what_is_in_use_or_pointed_to_stays():
    releases = released(50, 40, 30, 20, 10, points={5: 2})

    assert numbers(to_drop(releases, KeepConfig(releases=1, days=0), NOW, {"rel-000003"})) == [1, 4]
    assert to_drop([], KeepConfig(), NOW) == []


def rows(night: int, count: int = 40) -> pa.Table:
    """New rows of a night, each of 2,000 bytes that cannot be compressed."""
    chance = random.Random(night)
    values = [chance.randbytes(2_000) for _ in range(count)]
    return pa.table({"key": [f"{night}-{number}" for number in range(count)], "value": values}, schema=SCHEMA)


def test_sixty_nights_take_no_more_than_half_as_much_again_as_what_is_alive(tmp_path):
    store, keep = Store(tmp_path / "store"), KeepConfig(releases=14, days=0)
    with store.writer("a test") as writer:
        writer.upsert("t", rows(0, 4_000), SCHEMA)
        for night in range(1, 61):
            writer.upsert("t", rows(night), SCHEMA)
            publish(writer, {})
            done = collect(writer, keep, datetime.now(UTC), untagged=timedelta(0))

    alive = tmp_path / "alive"
    lance.write_dataset(store.read("t", SCHEMA), str(alive / "t.lance"))
    size, files = disk_use(store)
    assert [release.name for release in list_releases(store)] == [f"rel-{n:06d}" for n in range(47, 61)]
    assert size <= 1.5 * disk_use(Store(alive))[0]
    assert files < 200
    assert (done.dropped, len(done.kept)) == (("rel-000046",), 14)
    for night in (47, 60):
        release = get_release(store, f"rel-{night:06d}")
        assert len(store.read("t", SCHEMA, version=release.versions["t"])) == 4_000 + 40 * night


def test_a_pinned_release_reads_the_same_after_a_collection(tmp_path):
    store = Store(tmp_path / "store")
    with store.writer("a test") as writer:
        for night in range(1, 6):
            writer.upsert("t", rows(night), SCHEMA)
            publish(writer, {})
        roll_back(writer, "rel-000002")
        collect(writer, KeepConfig(releases=1, days=0), datetime.now(UTC), untagged=timedelta(0))

    assert [release.name for release in list_releases(store)] == ["rel-000002", "rel-000006"]
    assert [release.name for release in read_copy(store)] == ["rel-000002", "rel-000006"]
    assert verify(store).findings == ()
    assert len(store.read("t", SCHEMA, version=get_release(store).versions["t"])) == 80
    assert len(store.read("t", SCHEMA)) == 200


def test_the_release_of_the_newest_training_run_and_of_one_that_trains_is_in_use(tmp_path):
    for number, finished in ((1, True), (2, True), (3, False)):
        run = new_run(tmp_path)
        run.write("run", {"release": f"rel-{number:06d}"})
        if finished:
            run.write("result", {})

    assert releases_in_use(tmp_path) == {"rel-000002", "rel-000003"}
    assert releases_in_use(tmp_path / "nowhere") == set()


def test_gc_names_what_would_go_and_what_went(shop, plain_knowflow):
    shop.ask("kar_item")
    with shop.place().store.writer("a test") as writer:
        publish(writer, {})
        publish(writer, {})
    shop.configure(keep={"releases": 1, "days": 0})
    config = ["--config", shop.config]

    planned, there = plain_knowflow.run("release", "gc", "--dry-run", *config), len(list_releases(shop.place().store))
    done, again = plain_knowflow.run("release", "gc", *config), plain_knowflow.run("release", "gc", *config)

    assert (planned.returncode, planned.stderr) == (0, "would drop rel-000001\n")
    assert there == 2
    assert done.stderr.startswith("dropped rel-000001; 1 are left\n")
    assert again.stderr.startswith("dropped no release; 1 are left\n")


def test_a_store_whose_files_were_joined_has_nothing_new_to_publish(make_shop):
    shop = make_shop(items=4, tasks={"kar_item": {"encoders": []}})
    for count in range(4, 15):
        shop.write_items({f"i{number}": f"Thing {number}" for number in range(count)})
        shop.ask("kar_item")
    name = shop.release("kar_item")
    store = shop.place().store
    before = store.version("answers")
    with store.writer("a test"):
        for table in ("answers", "lineage", "runs"):
            join_small_files(store.path(table))

    assert store.version("answers") > before
    assert shop.release("kar_item") == name
    with store.writer("a test") as writer:
        writer.delete("runs", "run", [store.open("runs").to_table()["run"][0].as_py()])
    assert shop.release("kar_item") != name


def test_what_a_killed_training_run_left_goes_after_a_week_and_nothing_else(shop, plain_knowflow):
    shop.release("kar_item")
    home = shop.folder / "runs"
    killed, finished, running = new_run(home), new_run(home), new_run(home)
    finished.write("result", {"release": "rel-000001"})
    running.write("run", {"release": "rel-000001"})
    models_folder(home, killed.name).mkdir(parents=True)
    month_ago = (datetime.now(UTC) - timedelta(days=30)).timestamp()
    for path in (killed.folder, finished.folder, finished.folder / "result.json", running.folder):
        os.utime(path, (month_ago, month_ago))  # the folder of the running one is old, but not what it has written

    planned = plain_knowflow.run("release", "gc", "--dry-run", "--config", shop.config)
    assert planned.stderr == (
        "would drop no release; would delete what is left of unfinished training runs: train-000001\n"
    )
    assert killed.folder.is_dir()
    done = plain_knowflow.run("release", "gc", "--config", shop.config)

    assert "; deleted what is left of unfinished training runs: train-000001\n" in done.stderr
    assert [run.name for run in (killed, finished, running) if run.folder.is_dir()] == ["train-000002", "train-000003"]
    assert not models_folder(home, killed.name).exists()
