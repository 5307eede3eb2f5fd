"""The identity of a store: a table or a store that has gone is an error, never an empty one; old stores are migrated."""

import json
import logging
import shutil
import zipfile
from pathlib import Path

import pyarrow as pa
import pytest

from base.faults import WrongUse
from feature_store.database import Store
from feature_store.identity import FORMAT, Note, StoreFault, read_identity
from feature_store.lineage import read_lineage
from feature_store.migrations import MIGRATIONS, migrate, pending
from feature_store.releases import get_release, list_releases, released_knowledge
from feature_store.schemas import key_field
from feature_store.vectors import known_vectors, vectors_table

SCHEMA = pa.schema([key_field("key"), pa.field("value", pa.int64())])
STORES = Path(__file__).parent / "stores"


def write(store: Store, table: str = "things") -> None:
    with store.writer("a test") as writer:
        writer.upsert(table, pa.table({"key": ["a"], "value": [1]}), SCHEMA)


def vectors_of(store: Store, name: str | None = None) -> dict[str, list]:
    """What a release says of all its vectors: entities and vectors of each technique."""
    release = get_release(store, name)
    read = {str(one): released_knowledge(store, release, *one) for one in release.vectors}
    return {one: [known.entities.tolist(), known.vectors.tolist()] for one, known in read.items()}


def known_in(store: Store) -> dict[str, list[str]]:
    """The texts of each technique that need no vector any more, as far as its release has vectors of them."""
    made = get_release(store).vectors
    wanted = {name: read_lineage(store, [name.task])["text_key"] for name in made}
    found = {name: known_vectors(store, name, made[name].dimension, made[name].fingerprint) for name in made}
    return {str(name): sorted({*keys} & {*wanted[name]}) for name, keys in found.items()}


@pytest.fixture
def store(tmp_path):
    """A store that its config has noted, with one table."""
    made = Store(tmp_path / "store", Note.beside(tmp_path / "knowflow.yaml"))
    write(made)
    return made


def test_a_store_knows_its_tables_and_keeps_its_id(store):
    first = read_identity(store.folder)

    write(store, "others")

    second = read_identity(store.folder)
    assert first.tables == ("things",)
    assert (second.id, second.tables, second.format) == (first.id, ("others", "things"), FORMAT)


@pytest.mark.parametrize(
    "read",
    [
        lambda store: store.read("things", SCHEMA),
        lambda store: store.has("things"),
        lambda store: store.tables(),
    ],
)
def test_a_table_that_has_gone_is_an_error_that_names_it(store, read):
    shutil.rmtree(store.path("things"))

    with pytest.raises(StoreFault, match=r"things\.lance: this table of the store is gone.*\n.*knowflow verify"):
        read(store)


def test_a_store_that_has_gone_is_an_error_and_a_new_one_needs_a_word(store):
    moved = store.folder.rename(store.folder.with_name("elsewhere"))

    with pytest.raises(StoreFault, match=r"is gone\n.*knowflow refresh --new-store"):
        store.note.check(store.folder)
    with pytest.raises(StoreFault, match=r"is gone \(it was at .*store\)\n"):
        store.note.check(store.folder.with_name("a new home"))
    moved.rename(store.folder)
    store.note.check(store.folder)


def test_another_store_in_its_place_is_noticed(store):
    shutil.rmtree(store.folder)
    write(Store(store.folder))

    with pytest.raises(StoreFault, match="is another one: its id is"):
        store.note.check(store.folder)


def test_a_note_that_cannot_be_written_is_said_and_the_store_is_written(store, caplog):
    note = Note(store.folder.parent / "read-only" / "note")  # its folder is not there, so it cannot be written

    with caplog.at_level(logging.WARNING):
        write(Store(store.folder, note), "others")

    assert store.has("others")
    assert "a store that goes missing will not be noticed" in caplog.text


def test_a_newer_store_is_refused_in_words_and_left_alone(store):
    file = store.folder / "store.json"
    newer = json.dumps(json.loads(file.read_text()) | {"format": FORMAT + 1})
    file.write_text(newer)

    with pytest.raises(StoreFault, match=r"was written by a newer KnowFlow: its format is \d, this version knows"):
        write(store)

    assert file.read_text() == newer


def test_a_damaged_identity_is_named(store):
    (store.folder / "store.json").write_text("{")

    with pytest.raises(StoreFault, match=r"store\.json is damaged"):
        write(store)


def test_there_is_a_store_of_every_past_format():
    assert [path.stem for path in sorted(STORES.iterdir())] == [f"format-{number}" for number in range(FORMAT)]
    assert [step.to for step in MIGRATIONS] == list(range(1, FORMAT + 1))


@pytest.mark.parametrize("number", range(FORMAT))
def test_a_store_of_a_past_format_is_read_refused_to_a_writer_migrated_and_goes_on(tmp_path, knowflow, number):
    with zipfile.ZipFile(STORES / f"format-{number}.zip") as packed:
        packed.extractall(tmp_path)
    config = ["--config", tmp_path / "knowflow.yaml"]
    store = Store(tmp_path / "runs" / "store")
    before, known = vectors_of(store), known_in(store)

    shown, refused = knowflow.run("release", "show", *config), knowflow.run("refresh", *config)
    migrated, again = knowflow.run("migrate", *config), knowflow.run("migrate", *config)
    refreshed = knowflow.run("refresh", *config)

    assert shown.stdout.startswith("rel-000001, made ")
    assert refused.returncode == 2
    assert "bring it up to date, which keeps everything in it: knowflow migrate" in refused.stderr
    assert migrated.stdout.startswith(f"format {number + 1}: ")
    assert migrated.stdout.count("\n") == FORMAT - number
    assert (again.returncode, again.stdout) == (0, "")
    assert pending(store) == migrate(store, "a test") == []
    assert refreshed.stdout.startswith("released rel-000002\n")  # its vectors are in tables of their own
    assert {row.split()[3] for row in refreshed.stdout.splitlines() if row.startswith("kar_")} == {"0"}  # calls
    assert "encoding" not in refreshed.stderr
    assert "answers" in read_identity(store.folder).tables
    old, new = (one.vectors for one in list_releases(store))
    assert old == new
    assert known == known_in(store)  # what `knowflow plan` says of encoding is the same before and after
    assert all(known.values())
    assert vectors_of(store, "rel-000001") == vectors_of(store, "rel-000002") == before
    tables = {vectors_table(name, made.dimension) for name, made in new.items()}
    assert {name: store.open(name).count_rows() > 0 for name in store.tables() if name.startswith("vectors_")} == {
        "vectors_lexical_2": False,
        **dict.fromkeys(tables, True),
    }


def test_a_config_whose_store_has_gone_pays_for_nothing_again_until_it_is_told_to(tmp_path, knowflow):
    with zipfile.ZipFile(STORES / "format-0.zip") as packed:
        packed.extractall(tmp_path)
    config = ["--config", tmp_path / "knowflow.yaml"]
    knowflow.run("migrate", *config)
    knowflow.run("refresh", *config)
    there = knowflow.run("refresh", "--new-store", *config)
    shutil.rmtree(tmp_path / "runs")

    refused = [knowflow.run(command, *config) for command in ("refresh", "status", "train")]
    begun = knowflow.run("refresh", "--new-store", *config)

    assert there.returncode == 2
    assert "there is a store\n  leave out --new-store" in there.stderr
    assert {done.returncode for done in refused} == {2}
    assert all("is gone\n" in done.stderr for done in refused)
    assert begun.returncode == 0
    assert begun.stdout.startswith("released rel-000001")


def test_a_pinned_release_stays_until_it_is_unpinned_by_name(tmp_path, knowflow):
    with zipfile.ZipFile(STORES / "format-0.zip") as packed:
        packed.extractall(tmp_path)
    path = tmp_path / "knowflow.yaml"
    config = ["--config", path]
    knowflow.run("migrate", *config)

    knowflow.run("release", "pin", "rel-000001", *config)
    path.write_text(path.read_text().replace("kar_item: {}", "kar_item: {}\n  item_facts: {encoders: []}"))
    held = knowflow.run("refresh", *config)
    status = knowflow.run("status", *config)
    wrong = knowflow.run("release", "unpin", "rel-000007", *config)
    lifted = knowflow.run("release", "unpin", "rel-000001", *config)
    twice = knowflow.run("release", "unpin", "rel-000002", *config)
    published = knowflow.run("refresh", *config)

    assert held.returncode == 0
    assert "rel-000002 is pinned: the tables were filled, nothing was published\n" in held.stderr
    assert "rel-000002, pinned: refresh publishes nothing until knowflow release unpin rel-000002" in status.stdout
    assert (wrong.returncode, twice.returncode, lifted.returncode) == (2, 2, 0)
    assert "rel-000007 is not the current release, which is rel-000002" in wrong.stderr
    assert "rel-000002 is not pinned: refresh publishes" in twice.stderr
    assert published.stdout.startswith("released rel-000003")
    assert "item_facts" in published.stdout


def test_a_writer_of_a_store_without_an_identity_is_told_the_command(tmp_path):
    with zipfile.ZipFile(STORES / "format-0.zip") as packed:
        packed.extractall(tmp_path)

    with pytest.raises(WrongUse, match="knowflow migrate"):
        write(Store(tmp_path / "runs" / "store"))
