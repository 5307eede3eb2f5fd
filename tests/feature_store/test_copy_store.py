"""A store is copied to a bucket and back; here a folder stands for the bucket, see `tests/app/test_bucket_elsewhere.py`."""

import resource
import signal
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from people_shop import copy_of, people_shop

from base.faults import CheckFailed, WrongUse
from feature_store.answers import answer_log, known_answers
from feature_store.bucket import Bucket
from feature_store.checksums import read_sums
from feature_store.copy_store import copy_store
from feature_store.database import Store
from feature_store.forgotten import read_forgotten
from feature_store.identity import StoreFault
from feature_store.lineage import EPOCH
from feature_store.objects import Objects
from feature_store.releases import list_releases, publish, released_answers, released_knowledge, released_lineage
from feature_store.releases import roll_back as roll_back_to
from feature_store.schemas import ANSWERS
from feature_store.verify import verify


@pytest.fixture
def store(made_once, shop_builder, tmp_path) -> Store:
    """A store with three releases, the newest of which points to the first."""
    store = copy_of(made_once("people", partial(people_shop, shop_builder)), tmp_path).place().store
    with store.writer("a test") as writer:
        roll_back_to(writer, "rel-000001")
    return store


@pytest.fixture
def bucket(tmp_path, store) -> Store:
    return Store(store.folder, None, Bucket(str(tmp_path / "bucket"), {}, store.folder))


def copy(store: Store, target: Store):
    with store.writer("a test") as writer:
        return copy_store(writer, target, "a test")


def read_all(store: Store) -> dict:
    """Rows, vectors and answers of every release."""
    found = {}
    for one in list_releases(store):
        rows = released_lineage(store, one).sort("row")
        vectors = {
            task: (list(known.entities), known.vectors.tolist())
            for task in ("kar_item", "kar_user")
            for known in [released_knowledge(store, one, task, "lexical")]
        }
        answers = released_answers(store, one, rows["answer_key"].drop_nulls()).sort("key")
        found[one.name] = (one, rows.rows(), vectors, answers.rows())
    return found


def test_every_release_reads_the_same_from_the_copy_and_from_the_copy_of_the_copy(store, bucket, tmp_path):
    before = read_all(store)
    there = copy(store, bucket)
    again = Store(tmp_path / "back" / "store")
    back = copy(bucket, again)

    assert read_all(bucket) == read_all(again) == read_all(store) == before
    assert list(before) == ["rel-000001", "rel-000002", "rel-000003"] == list(there.releases)
    assert before["rel-000003"][0].rolled_back_to == "rel-000001"
    assert bucket.place.identity() == again.place.identity() == store.place.identity()
    assert (there.files, there.size, there.versions) == (back.files, back.size, back.versions)
    assert there.sent == there.files > 20
    assert verify(again).findings == ()
    assert verify(again).without_sum == 0
    assert not (again.folder / "copying").exists()
    sums = read_sums(again.folder)  # a file of another time would be hashed by every command that reads it
    assert {path: (again.folder / path).stat().st_mtime_ns for path in sums} == {
        path: one.written for path, one in sums.items()
    }


def test_answers_of_a_killed_run_are_in_the_copy(store, bucket):
    row = dict.fromkeys(ANSWERS.names) | {"key": "late", "text": "t", "created_at": EPOCH}
    with store.writer("a test") as writer, answer_log(writer) as log:
        log.append(row)
        journal = (store.folder / "answers.journal").read_bytes()
    with store.writer("a test") as writer:
        writer.delete("answers", "key", ["late"])
    (store.folder / "answers.journal").write_bytes(journal)

    copy(store, bucket)

    assert "late" in known_answers(bucket)


def stop_after(monkeypatch, count: int) -> None:
    left, take = [count], Objects.take

    def counted(self, source, name):
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        return take(self, source, name)

    monkeypatch.setattr(Objects, "take", counted)


@pytest.mark.parametrize("to", ["bucket", "folder"])
@pytest.mark.parametrize("files", [0, 7, 30])
def test_a_copy_that_was_stopped_is_no_store_and_the_next_one_goes_on(store, bucket, tmp_path, monkeypatch, to, files):
    before, target = read_all(store), bucket if to == "bucket" else Store(tmp_path / "back" / "store")
    with monkeypatch.context() as patched:
        stop_after(patched, files)
        with pytest.raises(KeyboardInterrupt):
            copy(store, target)
    if to == "bucket":
        for look in (target.tables, target.place.identity, lambda: list_releases(target)):
            with pytest.raises(StoreFault, match=r"was not finished: this is no store yet\n.*knowflow copy-store --to"):
                look()
        with pytest.raises(StoreFault, match="was not finished"), target.writer("a test"):
            pass
    else:
        assert target.tables() == [] == list_releases(target)

    done = copy(store, target)

    assert read_all(target) == before
    assert done.files - done.sent == pytest.approx(files, abs=0)


@pytest.mark.parametrize("renames", [3, 12, 16, 20])
def test_a_copy_stopped_while_it_is_put_in_place_is_finished_or_said_to_be_there(store, tmp_path, monkeypatch, renames):
    target, left, rename = Store(tmp_path / "back" / "store"), [renames], Path.rename

    def counted(self, to):
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        return rename(self, to)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", counted)
        with pytest.raises(KeyboardInterrupt):
            copy(store, target)

    if renames > 12:  # it is a store that lacks tables
        assert verify(target).findings[0].fix == "the same knowflow copy-store again, which finishes it"
    if renames > 3:  # all of it had been staged
        with pytest.raises(WrongUse, match=r"there is a copy of this store already, which may be older\n"):
            copy(store, target)
    else:
        copy(store, target)

    assert read_all(target) == read_all(store)
    assert verify(target).findings == ()
    assert not (target.folder / "copying").exists()


def test_a_disk_that_rejects_the_copy_is_named_and_the_next_one_goes_on(store, tmp_path):
    target, limits = Store(tmp_path / "back" / "store"), resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2_000, limits[1]))
        with pytest.raises(CheckFailed, match=r"back/store: .*runs/store cannot be copied to here: File too large\n"):
            copy(store, target)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)

    copy(store, target)

    assert read_all(target) == read_all(store)


def test_forgotten_users_of_another_store_whose_copy_was_stopped_are_not_in_the_copy(store, tmp_path):
    target = Store(tmp_path / "back" / "store")
    (target.folder / "copying").mkdir(parents=True)
    read_forgotten(store.folder).adding(["somebody"], "2024").write(target.folder / "copying")

    copy(store, target)

    assert not read_forgotten(target.folder)


def test_what_changed_after_a_copy_was_stopped_is_in_the_copy(store, bucket, monkeypatch):
    with monkeypatch.context() as patched:
        stop_after(patched, 30)
        with pytest.raises(KeyboardInterrupt):
            copy(store, bucket)
    with store.writer("a test") as writer:
        writer.compact("lineage")
        publish(writer, list_releases(store)[1].facts)

    copy(store, bucket)

    assert list(read_all(bucket)) == ["rel-000001", "rel-000002", "rel-000003", "rel-000004"]
    assert read_all(bucket) == read_all(store)


def test_a_place_with_a_store_or_with_something_else_is_refused(store, bucket, tmp_path):
    copy(store, bucket)

    with pytest.raises(
        WrongUse, match=r"bucket: there is a copy of this store already.*\n  to use that one, set store.url: "
    ):
        copy(store, bucket)
    with pytest.raises(
        WrongUse, match=r"there is a copy of this store already.*\n  to use that one, set home: .*runs;"
    ):
        copy(bucket, Store(store.folder))
    other = replace(store.place.identity(), id="another")
    bucket.place.identify(other)
    with pytest.raises(WrongUse, match=r"bucket: there is a store already\n  name another prefix"):
        copy(store, bucket)
    other.write(store.folder)
    bucket.place.identify(replace(other, id="the first"))
    with pytest.raises(WrongUse, match=r"there is a store already\n  move it away first"):
        copy(bucket, Store(store.folder))
    with bucket.writer("knowflow refresh"), pytest.raises(WrongUse, match="another process is writing"):
        copy(store, Store(tmp_path / "other", None, Bucket(str(bucket), {}, tmp_path / "other")))


def test_a_damaged_file_is_not_copied_on(store, bucket):
    file = next((store.folder / "vectors_lexical_4.kar_item.lance" / "data").glob("*.lance"))
    content = bytearray(file.read_bytes())
    content[9] ^= 1
    file.write_bytes(content)

    with pytest.raises(
        CheckFailed, match=r"vectors_lexical_4.* is damaged: its bytes have changed\n  see: knowflow ve"
    ):
        copy(store, bucket)

    with pytest.raises(StoreFault, match="was not finished"):
        bucket.tables()


def test_bytes_that_arrive_changed_are_noticed(store, bucket, monkeypatch):
    take = Objects.take

    def changing(self, source, name):
        digest = take(self, source, name)
        if "/data/" in name:
            self.write(name, b"something else")
        return digest

    monkeypatch.setattr(Objects, "take", changing)
    with pytest.raises(CheckFailed, match="other bytes arrived than were sent"):
        copy(store, bucket)


def test_a_release_in_a_bucket_records_checksums_as_one_in_a_folder_does(store, bucket):
    copy(store, bucket)
    with bucket.writer("a test") as writer:
        there = publish(writer, {})
    with store.writer("a test") as writer:
        here = publish(writer, {})

    assert there.facts["checksums"].keys() == here.facts["checksums"].keys()
    assert there.facts["checksums"]["answers"] == here.facts["checksums"]["answers"]
