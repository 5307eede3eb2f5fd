"""A damaged file of a table is found by its checksum, named by verify, and never served."""

import json
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from feature_store import checksums
from feature_store.checksums import check_files, note_sums, read_sums
from feature_store.database import Store
from feature_store.identity import StoreFault
from feature_store.lineage import EPOCH, VectorName, row_key, write_lineage
from feature_store.releases import get_release, list_releases, publish, released_knowledge
from feature_store.schemas import LINEAGE, key_field
from feature_store.vectors import text_key, write_vectors
from feature_store.verify import verify

SCHEMA = pa.schema([key_field("key"), pa.field("value", pa.utf8())])
STORES = Path(__file__).parent / "stores"


def add(store: Store, *keys: str) -> str:
    """Release rows about items, with vectors; gives the release's name."""
    rows = [
        dict.fromkeys(LINEAGE.names)
        | {"row": row_key("told", key, EPOCH), "task": "told", "entity_type": "item", "entity": key, "as_of": EPOCH}
        | {"text": key, "text_key": text_key(key), "created_at": EPOCH}
        for key in keys
    ]
    with store.writer("a test") as writer:
        write_lineage(writer, rows)
        write_vectors(
            writer,
            VectorName("told", "toy"),
            "f",
            [text_key(key) for key in keys],
            np.ones((len(keys), 8), dtype=np.float32),
        )
        return publish(writer, {"vectors": {"told/toy": {"fingerprint": "f", "dimension": 8}}}).name


@pytest.fixture
def store(tmp_path):
    """A store with two releases."""
    made = Store(tmp_path / "store")
    add(made, *(f"i{place}" for place in range(300)))
    add(made, "late")
    return made


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def files(store: Store, table: str, part: str = "data") -> list[Path]:
    """Files of a part of a table, largest first."""
    return sorted((store.path(table) / part).iterdir(), key=lambda file: -file.stat().st_size)


def test_a_whole_store_is_said_to_be_whole_and_all_its_files_have_a_checksum(store):
    report = verify(store)

    assert (report.whole, report.findings, report.without_sum) == (True, (), 0)
    assert report.releases == ("rel-000001", "rel-000002")


def test_one_flipped_bit_of_a_vector_is_found_and_not_served(store):
    file = files(store, "vectors_toy_8.told")[0]
    flip(file)

    (found,) = verify(store).findings

    assert (found.fault.table, store.folder / found.fault.file) == ("vectors_toy_8.told", file)
    assert (found.fault.what, found.releases) == ("its bytes have changed", ("rel-000001", "rel-000002"))
    with pytest.raises(StoreFault, match=rf"{file.name} is damaged: its bytes have changed\n.*knowflow verify"):
        released_knowledge(store, get_release(store), "told", "toy")


def test_a_later_file_touches_only_the_later_release(store):
    flip(files(store, "vectors_toy_8.told")[-1])

    assert [found.releases for found in verify(store).findings] == [("rel-000002",)]
    assert verify(store, "rel-000001").whole
    assert len(released_knowledge(store, list_releases(store)[0], "told", "toy").entities) == 300


@pytest.mark.parametrize("table", ["lineage", "vectors_toy_8.told", "releases"])
@pytest.mark.parametrize("part", ["data", "_versions"])
@pytest.mark.parametrize("how", ["cut off", "zeroed", "missing"])
def test_every_damaged_file_is_an_error_in_words_to_a_reader(store, table, part, how):
    last = max(files(store, table, part), key=lambda file: file.stat().st_mtime_ns if file.suffix != ".json" else 0)
    if how == "missing":
        last.unlink()
    else:
        size = last.stat().st_size
        last.write_bytes(last.read_bytes()[: size // 2] if how == "cut off" else bytes(size))

    report = verify(store)

    assert not report.whole
    assert {found.fault.file for found in report.findings} == {last.relative_to(store.folder).as_posix()}
    with pytest.raises(StoreFault, match=r"damaged.*\n.*knowflow verify"):
        released_knowledge(store, get_release(store), "told", "toy")
    with pytest.raises(StoreFault, match=r"damaged.*\n.*knowflow verify"):
        add(store, "another")


def test_a_publish_hashes_only_what_is_new(store, monkeypatch):
    hashed = []
    take = checksums.take_sum
    monkeypatch.setattr(checksums, "take_sum", lambda file: hashed.append(file.name) or take(file))

    add(store, "one more")

    assert sum(name.endswith(".lance") for name in hashed) == 3  # of lineage, vectors and releases
    assert set(hashed) <= {Path(path).name for path in read_sums(store.folder)}


def test_bytes_swapped_together_with_their_checksum_are_found_by_the_digest_of_the_release(store):
    file = files(store, "lineage")[0]
    flip(file)
    (store.folder / checksums.FILE).unlink()
    note_sums(store.folder, {"lineage": store.version("lineage")})

    assert "lineage.lance" in {found.fault.file.split("/")[0] for found in verify(store).findings}


def test_a_file_that_was_only_copied_is_whole(store):
    file = files(store, "lineage")[0]
    file.write_bytes(file.read_bytes())

    check_files(store.folder, [file.relative_to(store.folder).as_posix()], whole=False)
    assert verify(store).whole


def test_files_without_a_checksum_are_read_in_a_process_that_may_die_of_them(store):
    (store.folder / checksums.FILE).unlink()
    whole = verify(store)
    file = files(store, "vectors_toy_8.told")[0]
    file.write_bytes(file.read_bytes()[:-400] + bytes(100) + file.read_bytes()[-300:])

    assert whole.whole
    assert whole.without_sum > 6
    assert "cannot be read" in {found.fault.what.partition("version 3 ")[2][:14] for found in verify(store).findings}


def test_the_command_names_file_table_release_and_remedy_and_its_exit_code_says_it(tmp_path, plain_knowflow):
    with zipfile.ZipFile(STORES / "format-0.zip") as packed:
        packed.extractall(tmp_path)
    config = ["--config", tmp_path / "knowflow.yaml"]
    plain_knowflow.run("migrate", *config)

    whole = plain_knowflow.run("verify", *config)
    file = next((tmp_path / "runs" / "store" / "lineage.lance" / "data").iterdir())
    file.write_bytes(file.read_bytes()[:1000])
    damaged, told = plain_knowflow.run("verify", *config), plain_knowflow.run("verify", "--json", *config)
    read = plain_knowflow.run("status", *config)

    assert (whole.returncode, whole.stdout) == (0, "")
    assert whole.stderr.endswith("nothing is damaged\n")
    assert (damaged.returncode, told.returncode, read.returncode) == (1, 1, 2)
    assert damaged.stdout.startswith(
        f"lineage.lance/data/{file.name} (table lineage; rel-000001)\n  it has 1,000 bytes"
    )
    assert "fix: knowflow repair; the next refresh makes its rows again" in damaged.stdout
    assert json.loads(told.stdout)["findings"][0]["table"] == "lineage"
    assert "this table is damaged" in read.stderr
    assert "knowflow verify" in read.stderr


def test_a_store_that_is_not_there_is_an_error_and_a_release_that_is_not_there_too(tmp_path, store):
    with pytest.raises(StoreFault, match="there is no store"):
        verify(Store(tmp_path / "nowhere"))
    with pytest.raises(Exception, match="there is no release 'rel-000009'"):
        verify(store, "rel-000009")
