"""Every kind of damage is found, and is restored by a repair and a refresh; nothing that is whole is lost."""

import shutil
import sys
from pathlib import Path

import pytest

from app.workplace import damaged_store
from feature_store.answers import known_answers
from feature_store.identity import Note, StoreFault, read_identity
from feature_store.releases import COPY, all_releases, get_release, list_releases
from feature_store.repair import plan_repair, repair
from feature_store.verify import verify

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))  # the kinds, shared with the benchmark

import corruption
from corruption import KINDS, VECTORS, flip, newest_file, refresh, run_kind

CALLS = {"flipped bytes in a file of answers": 8, "a file of answers cut off": 8, "a damaged line of the journal": 1}
"""Kind -> calls that its repair plans; the file that is damaged holds the answers about the first 8 of 11 items."""


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The store that every kind damages a copy of; only copied."""
    folder = tmp_path_factory.mktemp("corruption") / "shop"
    corruption.build(folder)
    return folder


@pytest.fixture
def path(built, tmp_path):
    """The knowflow.yaml of a copy."""
    shutil.copytree(built, tmp_path / "shop")
    return tmp_path / "shop" / "knowflow.yaml"


def identity(store):
    """The identity of a store that has one."""
    found = read_identity(store.folder)
    assert found is not None
    return found


def store_of(path):
    from app.config import load_config

    return damaged_store(load_config(path))


@pytest.mark.parametrize("kind", KINDS)
def test_a_damage_is_found_and_restored(path, kind):
    done = run_kind(path, KINDS[kind])

    assert (done.found, done.restored) == (True, True), done.note


@pytest.mark.parametrize("kind", KINDS)
def test_a_plan_writes_nothing_and_counts_the_calls(path, kind):
    store = store_of(path)
    KINDS[kind](store)
    before = {file: file.read_bytes() for file in store.folder.rglob("*") if file.is_file()}

    steps = plan_repair(store)

    assert steps
    assert sum(step.calls for step in steps) == CALLS.get(kind, 0)
    assert {file: file.read_bytes() for file in store.folder.rglob("*") if file.is_file()} == before


def test_there_are_fourteen_kinds_and_the_figure_counts_them(monkeypatch):
    first = next(iter(KINDS))
    monkeypatch.setattr(corruption, "KINDS", {first: KINDS[first], "no damage": lambda store: store.folder / "nothing"})

    assert len(KINDS) == 14
    assert corruption.corruption() == {"found": 1, "restored": 1, "kinds": 2}


def test_a_whole_store_needs_no_repair(path):
    assert plan_repair(store_of(path)) == []


def test_a_damaged_release_is_not_served_and_the_newest_whole_one_is_current(path):
    store = store_of(path)
    later = min((store.path(VECTORS) / "data").iterdir(), key=lambda file: file.stat().st_size)
    flip(max([later, newest_file(store, VECTORS)], key=lambda file: file.stat().st_mtime_ns))

    done = [step.what for step in repair(store, "a test")]

    assert any(what == "rel-000002: is taken out of service; rel-000001 is current" for what in done)
    assert get_release(store).name == "rel-000001"
    assert [one.name for one in all_releases(store)] == ["rel-000001", "rel-000002"]
    with pytest.raises(
        StoreFault, match=r"rel-000002 is damaged, and `knowflow repair` took it out of service: .*bytes"
    ):
        get_release(store, "rel-000002")
    refresh(path)
    assert [one.name for one in list_releases(store)] == ["rel-000001", "rel-000003"]


def test_answers_of_a_lost_table_are_counted_by_the_lineage(path):
    store = store_of(path)
    shutil.rmtree(store.path("answers"))

    steps = plan_repair(store)
    repair(store, "a test")

    assert sum(step.calls for step in steps) == 11
    assert "answers are lost, asking them anew costs 11 calls" in steps[0].what
    assert refresh(path) == 11
    assert verify(store).whole


def test_whole_lines_of_a_damaged_journal_reach_the_table(path):
    store = store_of(path)
    good = b'{"key":"paid","text":"t","error":null,"created_at":"2024-01-01T00:00:00+00:00"}\n'
    (store.folder / "answers.journal").write_bytes(b"\0\0\n" + good + b'{"key": "cut')

    repair(store, "a test")

    assert "paid" in known_answers(store)
    assert (store.folder / "answers.journal").read_bytes() == b""
    assert next((store.folder / "damaged").rglob("answers.journal")).read_bytes().startswith(b"\0\0\n")


def test_the_id_of_a_lost_store_json_comes_from_the_note_else_from_a_release(path):
    store = store_of(path)
    first = identity(store)
    for note in (True, False):
        (store.folder / "store.json").write_bytes(b"\0" * 9)
        if not note:
            Note.beside(path).forget()
        repair(store, "a test")

        assert (identity(store).id, identity(store).tables) == (first.id, first.tables)


def test_releases_without_table_and_copy_begin_anew_and_no_answer_is_asked_again(path):
    store = store_of(path)
    shutil.rmtree(store.path("releases"))
    (store.folder / COPY).write_bytes(b"\0" * 99)

    repair(store, "a test")

    assert list_releases(store) == []
    assert refresh(path) == 0
    assert verify(store).whole
    assert len(list_releases(store)) == 1


def test_another_store_is_not_repaired(path):
    store = store_of(path)
    file = store.folder / "store.json"
    file.write_text(file.read_text().replace(identity(store).id, "another"))

    assert not verify(store).whole
    with pytest.raises(StoreFault, match="is another one: its id is another"):
        repair(store, "a test")


def test_the_command_shows_the_plan_and_does_it_with_yes(path, plain_knowflow):
    store, config = store_of(path), ["--config", path]
    flip(newest_file(store, "answers"))

    planned, same = plain_knowflow.run("repair", *config), verify(store).whole
    done = plain_knowflow.run("repair", "--yes", "--json", *config)
    again = plain_knowflow.run("repair", *config)

    assert (planned.returncode, done.returncode, again.returncode, same) == (0, 0, 0, False)
    assert "answers: 1 damaged file is left out; 3 rows are kept; 8 answers are lost" in planned.stdout
    assert "nothing was changed; 8 answers are lost" in planned.stderr
    assert '"calls": 8' in done.stdout
    assert again.stderr.startswith("nothing to repair")
    listed = plain_knowflow.run("release", "list", *config).stderr
    assert "rel-000002 is damaged, and not served: answers.lance" in listed
    assert "no release is left; make one: knowflow refresh" in listed
