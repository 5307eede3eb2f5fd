"""The store: keys stand once, reads are pinned, one writer at a time."""

import subprocess
import sys
from datetime import date, timedelta

import lance
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from base.faults import CheckFailed, WrongUse
from feature_store.database import Store, command_line
from feature_store.keys import check_keys
from feature_store.schemas import LATER, key_field
from feature_store.writer import COMPACT_EVERY, quoted

SCHEMA = pa.schema([key_field("key"), pa.field("value", pa.int64())])


def rows(**values: int) -> pa.Table:
    return pa.table({"key": list(values), "value": list(values.values())})


def test_reading_a_store_that_is_not_there_creates_nothing(tmp_path):
    store = Store(tmp_path / "store")

    found = store.read("things", SCHEMA)

    assert found.num_rows == 0
    assert store.tables() == []
    assert not (tmp_path / "store").exists()


def test_an_upsert_replaces_known_keys_and_adds_new_ones(tmp_path):
    store = Store(tmp_path / "store")
    with store.writer("test") as writer:
        writer.upsert("things", rows(a=1, b=2), SCHEMA)
        writer.upsert("things", rows(b=3, c=4), SCHEMA)

    found = store.read("things", SCHEMA).sort_by("key").to_pydict()

    assert found == {"key": ["a", "b", "c"], "value": [1, 3, 4]}


def test_a_key_twice_in_one_batch_is_refused_and_nothing_is_written(tmp_path):
    store = Store(tmp_path / "store")
    doubled = pa.table({"key": ["a", "a"], "value": [1, 2]})

    with store.writer("test") as writer, pytest.raises(CheckFailed, match="holds a key twice"):
        writer.upsert("things", doubled, SCHEMA)

    assert store.tables() == []


def test_doubled_keys_that_came_from_elsewhere_are_found(tmp_path):
    store = Store(tmp_path / "store")
    with store.writer("test") as writer:
        writer.upsert("things", rows(a=1), SCHEMA)
    lance.write_dataset(rows(a=2), str(store.path("things")), mode="append")

    with pytest.raises(CheckFailed, match="1 of 2 rows"):
        check_keys(store, "things", "key")


def test_a_table_of_another_version_is_told_when_a_column_is_missed_and_not_before(tmp_path):
    store = Store(tmp_path)
    newer = pa.schema([*SCHEMA, pa.field("later", pa.int64())])
    with store.writer("a test") as writer:
        writer.upsert("t", pa.table({"key": ["a"], "value": [1]}), SCHEMA)

        with pytest.raises(WrongUse, match=r"table t was written by another version of KnowFlow: it has no later\n"):
            writer.upsert("t", pa.table({"key": ["b"], "value": [2], "later": [3]}), newer)

    assert store.read("t", newer, columns=["value"])["value"].to_pylist() == [1]
    with pytest.raises(WrongUse, match="set another home"):
        store.read("t", newer)


def test_a_pinned_version_does_not_see_later_rows(tmp_path):
    store = Store(tmp_path / "store")
    with store.writer("test") as writer:
        writer.upsert("things", rows(a=1), SCHEMA)
        pinned = store.version("things")
        writer.upsert("things", rows(a=9, b=2), SCHEMA)

    assert store.read("things", SCHEMA, version=pinned).to_pydict() == {"key": ["a"], "value": [1]}


def test_a_tagged_version_outlives_compaction_and_clean_up(tmp_path):
    store = Store(tmp_path / "store")
    with store.writer("test") as writer:
        writer.upsert("things", rows(a=1), SCHEMA)
        tagged = store.version("things")
        writer.tag("things", "rel-000001", tagged)
        for value in range(COMPACT_EVERY + 1):
            writer.upsert("things", rows(a=value, **{f"k{value}": value}), SCHEMA)
    lance.dataset(str(store.path("things"))).cleanup_old_versions(timedelta(0), error_if_tagged_old_versions=False)

    assert store.read("things", SCHEMA, version=tagged).to_pydict() == {"key": ["a"], "value": [1]}
    assert check_keys(store, "things", "key") == COMPACT_EVERY + 2


def test_a_large_batch_is_merged_in_parts_without_losing_rows(tmp_path, monkeypatch):
    monkeypatch.setattr("feature_store.writer.LARGEST_MERGE", 256)
    store = Store(tmp_path / "store")
    with store.writer("test") as writer:
        writer.upsert("things", pa.table({"key": [f"k{i}" for i in range(100)], "value": list(range(100))}), SCHEMA)

    assert check_keys(store, "things", "key") == 100


def test_a_second_writing_process_is_refused_and_told_who_holds_the_store(tmp_path):
    store = Store(tmp_path / "store")
    program = (
        "import sys; from pathlib import Path; from feature_store.database import Store\n"
        "with Store(Path(sys.argv[1])).writer('the first writer'):\n    print('held', flush=True); sys.stdin.read()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", program, str(store.folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(WrongUse, match=f"the first writer, process {holder.pid}"), store.writer("the second"):
            pass
    finally:
        holder.communicate(input="")
    with store.writer("the third") as writer:
        assert writer.store == store


def test_a_table_whose_first_commit_was_killed_is_not_there_and_can_still_be_made(tmp_path):
    store = Store(tmp_path / "store")
    (store.path("things") / "data").mkdir(parents=True)
    (store.path("things") / "data" / "half.lance").write_bytes(b"half a file")

    assert not store.has("things")
    assert store.tables() == []
    assert store.read("things", SCHEMA).num_rows == 0
    with store.writer("test") as writer:
        writer.upsert("things", rows(a=1), SCHEMA)
    assert store.read("things", SCHEMA).to_pydict() == {"key": ["a"], "value": [1]}


def test_small_files_are_joined_though_every_process_makes_but_one(tmp_path):
    store = Store(tmp_path / "store")
    counts = []
    for night in range(3 * COMPACT_EVERY):
        with store.writer("a nightly run") as writer:
            writer.upsert("things", rows(**{f"k{night}": night}), SCHEMA)
        counts.append(len(lance.dataset(str(store.path("things"))).get_fragments()))

    assert max(counts) <= COMPACT_EVERY
    assert counts[:3] == [1, 2, 3]
    assert check_keys(store, "things", "key") == 3 * COMPACT_EVERY


def test_files_of_a_large_first_run_are_not_copied_by_joining_them(tmp_path, monkeypatch):
    monkeypatch.setattr("feature_store.writer.ROWS_ENOUGH", 50)
    store, sizes = Store(tmp_path / "store"), [50] * (2 * COMPACT_EVERY) + [1] * COMPACT_EVERY
    with store.writer("a first run, then small ones") as writer:
        for number, size in enumerate(sizes):
            writer.upsert("things", rows(**{f"k{number}-{row}": row for row in range(size)}), SCHEMA)
            if number == 2 * COMPACT_EVERY - 1:
                first = len(lance.dataset(str(store.path("things"))).get_fragments())
        before = len(lance.dataset(str(store.path("things"))).get_fragments())
        writer.upsert("things", rows(last=1), SCHEMA)
    after = len(lance.dataset(str(store.path("things"))).get_fragments())

    assert (first, before) == (2 * COMPACT_EVERY, 3 * COMPACT_EVERY)
    assert after < before
    assert check_keys(store, "things", "key") == sum(sizes) + 1


@given(
    st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"]), max_size=5), st.integers(0, 9), min_size=1, max_size=8
    ),
    st.data(),
)
@settings(deadline=None, max_examples=20)
def test_exactly_the_named_keys_are_deleted_whatever_stands_in_them(tmp_path_factory, values, data):
    chosen = data.draw(st.sets(st.sampled_from(sorted(values))))
    store = Store(tmp_path_factory.mktemp("store") / "store")
    with store.writer("test") as writer:
        writer.upsert("things", pa.table({"key": list(values), "value": list(values.values())}), SCHEMA)
        before = store.version("things")
        writer.delete("things", "key", chosen)

    assert dict(zip(*store.read("things", SCHEMA).to_pydict().values(), strict=True)) == {
        k: v for k, v in values.items() if k not in chosen
    }
    assert store.read("things", SCHEMA, version=before).num_rows == len(values)


def test_a_condition_with_a_quote_reads_the_row_it_names(tmp_path):
    store = Store(tmp_path / "store")
    with store.writer("test") as writer:
        writer.upsert("things", pa.table({"key": ["it's", "its"], "value": [1, 2]}), SCHEMA)

    assert store.read("things", SCHEMA, where="key = " + quoted("it's"))["value"].to_pylist() == [1]


def test_a_writer_that_fails_leaves_the_store_free_and_names_nobody(tmp_path):
    store = Store(tmp_path / "store")

    with pytest.raises(ZeroDivisionError), store.writer("test"):
        raise ZeroDivisionError

    assert not (store.folder / "writer.json").exists()
    with store.writer("test"):
        pass


def test_whoever_is_refused_in_the_moment_before_the_holder_has_said_who_it_is_still_gets_a_sentence(tmp_path):
    store = Store(tmp_path / "store")

    with store.writer("test"):
        (store.folder / "writer.json").write_text("")
        with pytest.raises(WrongUse, match="another process is writing: unknown"), store.writer("the second"):
            pass


def test_a_holder_that_was_killed_does_not_block_the_store(tmp_path):
    store = Store(tmp_path / "store")
    program = (
        "import sys; from pathlib import Path; from feature_store.database import Store\n"
        "with Store(Path(sys.argv[1])).writer('doomed'):\n    print('held', flush=True); sys.stdin.read()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", program, str(store.folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    holder.kill()
    holder.wait()

    with store.writer("the next") as writer:
        writer.upsert("things", rows(a=1), SCHEMA)
    assert check_keys(store, "things", "key") == 1


def test_a_column_that_was_added_later_reads_as_null_until_the_table_is_written(tmp_path):
    store = Store(tmp_path)
    newer = pa.schema([*SCHEMA, pa.field("later", pa.date32(), metadata=LATER)])
    with store.writer("an older version") as writer:
        writer.upsert("t", rows(a=1, b=2), SCHEMA)
    version = store.version("t")

    assert store.read("t", newer, where="value > 1").to_pydict() == {"key": ["b"], "value": [2], "later": [None]}
    assert store.read("t", newer, columns=["later", "key"]).column_names == ["later", "key"]
    added = pa.table({"key": ["b"], "value": [3], "later": [date(2024, 6, 30)]})
    with store.writer("a newer version") as writer:
        writer.upsert("t", added.cast(newer), newer)
        writer.compact("t")

    found = store.read("t", newer).sort_by("key").to_pydict()
    assert found == {"key": ["a", "b"], "value": [1, 3], "later": [None, date(2024, 6, 30)]}
    assert store.read("t", newer, version=version)["later"].to_pylist() == [None, None]
    assert store.read("t", newer, version=version)["value"].to_pylist() == [1, 2]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["/venv/bin/knowflow", "refresh", "--task", "kar_item"], "knowflow refresh --task kar_item"),
        (["/venv/lib/site-packages/prefect/engine.py"], "the scheduled flow run 0198-ab"),
    ],
)
def test_a_holder_is_named_by_its_command_or_its_flow_run(monkeypatch, words, told):
    monkeypatch.setattr("sys.argv", words)
    monkeypatch.setenv("PREFECT__FLOW_RUN_ID", "0198-ab")

    assert command_line() == told
