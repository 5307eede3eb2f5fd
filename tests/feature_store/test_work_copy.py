"""`verify`, `repair` and `forget` of a store in a bucket work on a copy and send it back; a folder is the bucket here."""

import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from people_shop import copy_of, name_of, people_shop

from app.config import Config, load_config
from app.forgetting import forget, plan_forgetting
from app.kept_data import forgotten_users
from app.workplace import damaged_store, open_store
from base.faults import CheckFailed, WrongUse
from feature_store.answers import known_answers
from feature_store.bucket import BucketConfig
from feature_store.copy_store import copy_store
from feature_store.database import Store
from feature_store.identity import StoreFault
from feature_store.lineage import read_lineage
from feature_store.objects import Objects
from feature_store.releases import list_releases, released_knowledge, released_lineage
from feature_store.repair import plan_repair, repair
from feature_store.verify import verify
from feature_store.work_copy import MARK

USER, OTHER = name_of(1), name_of(2)


@pytest.fixture
def config(made_once, shop_builder, tmp_path) -> Config:
    """The config of a shop whose store was copied to a bucket and is nowhere else."""
    shop = copy_of(made_once("people", partial(people_shop, shop_builder)), tmp_path)
    config = load_config(shop.config)
    there = BucketConfig.model_construct(url=str(tmp_path / "bucket"), endpoint=None, region=None)
    config = config.model_copy(update={"store": there})
    before = replace(damaged_store(config), bucket=None)
    with before.writer("a test") as writer:
        copy_store(writer, damaged_store(config), "a test")
    for left in [*before.folder.glob("*.lance"), before.folder / "store.json", before.folder / "checksums.json"]:
        shutil.rmtree(left) if left.is_dir() else left.unlink()
    return config


def files(folder: Path) -> dict[str, bytes]:
    """The files of a bucket, without the lock's."""
    found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in found.items() if not name.startswith("control.lance/")}


def bucket_of(config: Config) -> Path:
    assert config.store is not None
    return Path(config.store.url)


def vectors(store: Store) -> dict:
    """What every release knows of everybody else."""
    return {
        (one.name, task, entity, str(time)): vector.tolist()
        for one in list_releases(store)
        for task in ("kar_item", "kar_user")
        for known in [released_knowledge(store, one, task, "lexical")]
        for entity, time, vector in zip(known.entities, known.as_of, known.vectors, strict=True)
        if entity != USER
    }


def is_clean(config: Config) -> bool:
    """Whether the folder of the store has nothing of the bucket's tables."""
    folder = config.store_folder
    return not [*folder.rglob("*.lance")] and not (folder / MARK).exists() and not (folder / "store.json").exists()


def damage(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def largest(config: Config, table: str) -> Path:
    return max((bucket_of(config) / f"{table}.lance" / "data").iterdir(), key=lambda file: file.stat().st_size)


def test_a_whole_store_is_whole_and_nothing_changes_and_nothing_is_left_here(config):
    before = files(bucket_of(config))

    report = verify(open_store(config))

    assert (report.whole, report.findings, report.without_sum) == (True, (), 0)
    assert report.releases == ("rel-000001", "rel-000002")
    assert plan_repair(open_store(config)) == []
    assert files(bucket_of(config)) == before
    assert is_clean(config)


def test_a_changed_byte_is_found_and_repaired_and_only_then_is_the_store_whole(config):
    damage(largest(config, "vectors_lexical_4.kar_item"))
    store = open_store(config)

    found = verify(store)
    steps = repair(store, "a test")
    again = verify(store)

    assert [one.fault.what for one in found.findings] == ["its bytes have changed"]
    assert any("vectors_lexical_4.kar_item" in step.what for step in steps)
    assert again.whole
    assert {one.name for one in list_releases(store)} <= {"rel-000001"}  # the other one, or both, hold that file
    assert is_clean(config)


def test_a_table_that_is_gone_is_found(config):
    shutil.rmtree(bucket_of(config) / "lineage.lance")

    report = verify(open_store(config))

    assert ("lineage", "this table is gone") in {(one.fault.table, one.fault.what) for one in report.findings}


def test_a_user_is_forgotten_in_every_object_and_every_release_reads_as_before_for_all_others(config):
    store, bucket = open_store(config), bucket_of(config)
    before = vectors(store)
    texts = {
        text
        for one in list_releases(store)
        for text in released_lineage(store, one).filter(entity=USER)["text"].drop_nulls()
    }
    assert len(texts) == 4
    assert any(USER.encode() in content for content in files(bucket).values())
    old = set(files(bucket))

    plan = plan_forgetting(config, [USER])
    receipt = forget(config, [USER])

    left = files(bucket)
    assert plan.removed()["rows"] == receipt["removed"]["rows"] == {"circles": 1, "kar_user": 2}
    for folder in (bucket, config.home_folder):
        for content in files(folder).values():
            assert not any(text.encode() in content for text in (USER, *texts))
    assert vectors(store) == before
    assert OTHER in {entity for _, _, entity, _ in before}
    assert not any(name in left for name in old if name.startswith("lineage.lance/") and "_refs" not in name)
    assert receipt["search"]["found"] == ()
    assert "old versions of objects" in receipt["bucket"]["note"]
    assert verify(store).findings == ()
    assert is_clean(config)


def test_another_machine_leaves_out_who_was_forgotten(config, tmp_path):
    forget(config, [USER])

    other = config.model_copy(update={"home": tmp_path / "elsewhere"})

    assert USER in forgotten_users(other)
    assert OTHER not in forgotten_users(other)


@pytest.mark.parametrize("count", [0, 33, 44, 60])
def test_a_forgetting_that_stopped_while_it_sent_serves_everybody_and_is_finished(config, monkeypatch, count):
    store, bucket = open_store(config), bucket_of(config)
    before, left = vectors(store), [count]
    with monkeypatch.context() as patched:
        for name in ("take", "delete"):
            done = getattr(Objects, name)

            def counted(self, *words, done=done):
                if self.address == str(bucket):
                    left[0] -= 1
                    if left[0] < 0:
                        raise KeyboardInterrupt
                return done(self, *words)

            patched.setattr(Objects, name, counted)
        with pytest.raises(KeyboardInterrupt):
            forget(config, [USER])
    half, current = vectors(store), list_releases(store)[-1]
    released, newest = released_lineage(store, current), read_lineage(store)

    forget(config, [])

    assert half == before == vectors(store)
    assert len(newest.filter(entity=USER)) <= len(released.filter(entity=USER))  # the newest goes first
    assert not any(USER.encode() in content for content in files(bucket).values())
    assert verify(store).findings == ()
    assert is_clean(config)


def test_answers_in_the_journal_survive_a_forgetting_that_stopped(config, monkeypatch):
    line = b'{"key":"late","text":"t","error":null,"prompt":"kar_item.v1","messages":"[]",'
    (config.store_folder / "answers.journal").write_bytes(line + b'"created_at":"2024-01-01T00:00:00+00:00"}\n')
    with monkeypatch.context() as patched:
        patched.setattr("app.forgetting.forget_in_store", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            forget(config, [USER])

    assert "late" in known_answers(open_store(config))


def test_a_store_that_is_left_in_the_folder_is_refused_and_stays(config, tmp_path):
    left = config.store_folder / "answers.lance"
    left.mkdir()

    with pytest.raises(WrongUse, match=r"here is a store, too, with answers\.lance; .*\n  delete its tables"):
        forget(config, [USER])

    assert left.is_dir()


def test_a_store_that_is_not_there_is_said_and_nothing_is_made(config, tmp_path):
    nowhere = BucketConfig.model_construct(url=str(tmp_path / "nowhere"), endpoint=None, region=None)
    elsewhere = config.model_copy(update={"store": nowhere, "path": tmp_path / "other.yaml"})

    for look in (verify, plan_repair, partial(repair, purpose="a test")):
        with pytest.raises(StoreFault, match="there is no store\n  make one: knowflow refresh"):
            look(open_store(elsewhere))
    assert not list(tmp_path.rglob("nowhere/*"))


def test_somebody_else_who_writes_into_the_bucket_is_noticed(config, monkeypatch):
    delete = Objects.delete

    def and_add(self, name):
        delete(self, name)
        if self.address == str(bucket_of(config)):
            self.write("answers.lance/data/theirs.lance", b"theirs")

    monkeypatch.setattr(Objects, "delete", and_add)
    with pytest.raises(CheckFailed, match="something else writes here"):
        forget(config, [USER])


def test_a_copy_that_a_killed_command_left_is_no_store_and_goes_with_the_next_command(config):
    store, folder = open_store(config), config.store_folder
    for table in store.tables():
        shutil.copytree(bucket_of(config) / f"{table}.lance", folder / f"{table}.lance")
    store.place.identity().write(folder)
    (folder / MARK).write_text(f"{bucket_of(config)}\n")
    at_home = config.model_copy(update={"store": None})

    with pytest.raises(StoreFault, match=r"a command that was killed left a copy of the store in .*bucket here\n"):
        open_store(at_home)
    with store.writer("a test") as writer:
        copy_store(writer, Store(folder), "a test")

    assert open_store(at_home).tables() == store.tables()
    assert not (folder / MARK).exists()
    (folder / MARK).write_text(f"{bucket_of(config)}\n")
    assert verify(store).whole
    assert is_clean(config)
