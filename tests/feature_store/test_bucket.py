"""A store in a bucket, here with a folder for an address; `tests/app/test_bucket_elsewhere.py` asks a real service."""

import threading
from dataclasses import replace
from datetime import timedelta

import pyarrow as pa
import pytest

from base.faults import CheckFailed, WrongUse
from feature_store.bucket import Bucket, BucketConfig
from feature_store.control import Control
from feature_store.damage import reading
from feature_store.database import Store
from feature_store.identity import Note, StoreFault
from feature_store.lease import KEY
from feature_store.lineage import EPOCH, VectorName, write_lineage
from feature_store.migrations import migrate
from feature_store.releases import get_release, list_releases, publish, read_copy, released_knowledge, roll_back
from feature_store.retention import disk_use
from feature_store.schemas import LINEAGE, key_field, vectors_schema
from feature_store.vectors import shared_table, vectors_table

SCHEMA = pa.schema([key_field("key"), pa.field("value", pa.int64())])


def rows(**values: int) -> pa.Table:
    return pa.table({"key": list(values), "value": list(values.values())})


@pytest.fixture
def make(tmp_path):
    """Make the store of a machine; all share the bucket."""

    def of(machine: str = "one") -> Store:
        bucket = Bucket(str(tmp_path / "bucket"), {}, tmp_path / machine)
        return Store(tmp_path / machine, Note(tmp_path / f"{machine}.note"), bucket)

    return of


def write(store: Store, **values: int) -> None:
    with store.writer("a test") as writer:
        writer.upsert("things", rows(**values), SCHEMA)


def test_reading_a_store_that_is_not_there_creates_nothing(make, tmp_path):
    assert make().read("things", SCHEMA).num_rows == 0
    assert make().tables() == []
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_what_one_machine_writes_another_reads_and_goes_on_with(make, tmp_path):
    write(make("one"), a=1, b=2)
    write(make("other"), b=3, c=4)

    found = make("third").read("things", SCHEMA).sort_by("key").to_pydict()

    assert found == {"key": ["a", "b", "c"], "value": [1, 3, 4]}
    assert make("one").place.identity() == make("other").place.identity()
    assert make("one").place.identity().tables == ("things",)
    assert not (tmp_path / "one" / "things.lance").exists()
    assert disk_use(make("third"))[1] > 3


def test_releases_are_pointers_that_every_machine_sees(make):
    store = make()
    with store.writer("a test") as writer:
        writer.upsert("things", rows(a=1), SCHEMA)
        first = publish(writer, {})
        writer.upsert("things", rows(a=2), SCHEMA)
        publish(writer, {})
        roll_back(writer, first.name)

    other = make("other")
    current = get_release(other)

    assert [one.name for one in list_releases(other)] == ["rel-000001", "rel-000002", "rel-000003"]
    assert current.rolled_back_to == "rel-000001"
    assert current.facts["checksums"].keys() == {"things"}
    assert other.read("things", SCHEMA, version=current.versions["things"]).to_pylist() == [{"key": "a", "value": 1}]
    assert other.read("things", SCHEMA).to_pylist() == [{"key": "a", "value": 2}]
    assert [one.name for one in read_copy(store)] == [one.name for one in list_releases(other)]


def test_a_store_of_format_1_is_migrated_and_its_releases_read_as_before(make):
    store, name = make(), VectorName("kar_item", "dense")
    row = {"row": "kar_item/a/0", "task": "kar_item", "entity_type": "item", "entity": "a", "as_of": EPOCH}
    row |= {"text": "A", "text_key": "k", "created_at": EPOCH}
    vectors = pa.FixedSizeListArray.from_arrays(pa.array([1, 2, 3, 4], pa.float32()).cast(pa.float16()), 2)
    shared = {"key": ["x", "y"], "text_key": ["k", "of nobody"], "fingerprint": ["f", "f"], "vector": vectors}
    with store.writer("a test") as writer:
        write_lineage(writer, [dict.fromkeys(LINEAGE.names) | row])
        writer.upsert(shared_table("dense", 2), pa.table(shared), vectors_schema(2))
        publish(writer, {"vectors": {str(name): {"fingerprint": "f", "dimension": 2}}})
    store.place.identify(replace(store.place.identity(), format=1))
    with pytest.raises(StoreFault, match=r"is of format 1, and this version writes format \d\n.*knowflow migrate"):
        write(store, a=1)

    done = migrate(store, "a test")
    with make("other").writer("a test") as writer:
        publish(writer, get_release(store).facts)

    assert [step.to for step in done] == [2]
    assert store.open(vectors_table(name, 2)).count_rows() == 1
    for release in list_releases(store):
        assert released_knowledge(store, release, *name).vectors.tolist() == [[1, 2]]


def test_two_writers_are_never_at_work_at_once(make):
    with make("one").writer("knowflow refresh") as writer:
        with pytest.raises(WrongUse, match=r"bucket: another process is writing: knowflow refresh, process"):
            write(make("other"), a=1)
        with pytest.raises(WrongUse, match=r"one: another process is writing: knowflow refresh, process"):
            write(make("one"), a=1)
        writer.upsert("things", rows(b=2), SCHEMA)

    assert make().read("things", SCHEMA).to_pylist() == [{"key": "b", "value": 2}]


def test_a_writer_whose_lock_was_taken_writes_nothing_more(make, monkeypatch):
    monkeypatch.setattr("feature_store.lease.EVERY", timedelta(milliseconds=10))
    store = make()
    control = Control(str(store), {})
    with store.writer("slept too long") as writer:
        writer.upsert("things", rows(a=1), SCHEMA)
        while not control.change(KEY, control.read()[KEY], "taken"):
            pass  # it was moved on in between
        next(thread for thread in threading.enumerate() if thread.name == "lock of the store").join(60)
        for what in (
            lambda: writer.upsert("things", rows(b=2), SCHEMA),
            lambda: writer.delete("things", "key", ["a"]),
            lambda: writer.tag("things", "rel-000001", 1),
            lambda: writer.compact("things"),
        ):
            with pytest.raises(CheckFailed, match="the lock of the store was lost"):
                what()

    assert store.read("things", SCHEMA).to_pylist() == [{"key": "a", "value": 1}]
    assert control.read()[KEY] == "taken"


def test_a_table_or_a_store_that_has_gone_is_an_error(make, tmp_path):
    write(make(), a=1)
    store = make()

    (tmp_path / "bucket" / "things.lance").rename(tmp_path / "aside")
    with pytest.raises(StoreFault, match=r"things\.lance"):
        store.read("things", SCHEMA)
    (tmp_path / "bucket").rename(tmp_path / "gone")
    with pytest.raises(StoreFault, match=r"bucket: the store .* of this config is gone\n"):
        store.note.check(str(store), store.place.identity)


def test_a_prefix_with_tables_of_something_else_is_refused(make, tmp_path):
    import lancedb

    lancedb.connect(tmp_path / "bucket").create_table("theirs", rows(a=1))

    with pytest.raises(StoreFault, match=r"there are tables, and no store of KnowFlow\n.*store\.url"):
        write(make(), a=1)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        ("in 3ms - 403: <?xml?>\n<Error><Code>Denied</Code><Message>Not you</Message></Error>", "Not you (Denied)"),
        ("after 3 retries - HTTP error: error sending request, /cargo/x.rs:1576:42", "the service does not answer"),
        ("LanceError(IO): Failed to get AWS credentials: ProviderError(...)", "there are no keys, neither in the"),
        ("AWS Error NETWORK_CONNECTION during HeadObject operation: curlCode: 7", "the service does not answer"),
        ("something else, /cargo/x.rs:1576:42", "s3://b/shop: something else\n"),
    ],
)
def test_what_the_service_says_is_told(error, words):
    with pytest.raises(StoreFault, match="check store: in") as fault, reading("s3://b/shop"):
        raise OSError(error)

    assert words in str(fault.value)


@pytest.mark.parametrize(
    ("given", "options"),
    [
        ({"url": "s3://b/shop/"}, {}),
        ({"url": "s3://b/shop", "region": "eu-central-1"}, {"region": "eu-central-1"}),
        (
            {"url": "s3://b/shop", "endpoint": "http://minio:9000/"},
            {"endpoint": "http://minio:9000", "allow_http": "true"},
        ),
        ({"url": "s3://b/shop", "endpoint": "https://minio:9000"}, {"endpoint": "https://minio:9000"}),
    ],
)
def test_the_address_becomes_options_without_any_secret(given, options, tmp_path):
    config = BucketConfig(**given)

    assert (config.url, config.options) == ("s3://b/shop", options)
    assert Bucket.of(config, tmp_path).address == "s3://b/shop"


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"url": "gs://b/shop"}, "no address of a prefix"),
        ({"url": "s3://b"}, "no address of a prefix"),
        ({"url": "s3://key:secret@b/shop"}, "keys come from the environment"),
        ({"url": "s3://b/shop", "endpoint": "minio:9000"}, "it is no address"),
        ({"url": "s3://b/shop", "endpoint": "http://key:secret@minio:9000"}, "keys come from the environment"),
        ({"url": "s3://b/shop", "secret": "x"}, "Extra inputs are not permitted"),
    ],
)
def test_wrong_addresses_are_refused_in_words(given, why):
    with pytest.raises(ValueError, match=why):
        BucketConfig(**given)
