"""Which files of a table are joined: few files stay, and a row is not copied again and again."""

import lance
import pyarrow as pa
from hypothesis import example, given
from hypothesis import strategies as st

from feature_store.database import Store
from feature_store.files import FILES_LEFT, join_small_files, rows_to_join, same_rows
from feature_store.schemas import key_field


def after_joining(files: list[int]) -> tuple[list[int], int]:
    """The files after one joining, as lance does it, and the rows that were copied."""
    limit = rows_to_join(files)
    small = sum(size for size in files if size < limit)
    return [size for size in files if size >= limit] + [small] * bool(small), small


@given(first=st.lists(st.integers(1, 5_000), max_size=30), nightly=st.integers(1, 50))
def test_over_a_year_of_nights_files_stay_few_and_rows_are_copied_a_few_times(first, nightly):
    files, copied = list(first), 0
    for _ in range(365):
        files.append(nightly)
        if len(files) > 20:
            files, now = after_joining(files)
            copied += now
        assert len(files) <= 20

    assert copied <= 4 * sum(files)


@example([1, 1, 2])
@given(st.lists(st.integers(1, 5_000), min_size=1, max_size=60))
def test_what_is_left_is_few_files_and_a_large_one_is_not_copied_for_the_sake_of_small_ones(files):
    left, _ = after_joining(files)

    assert sum(left) == sum(files)
    assert len(left) <= FILES_LEFT
    limit = rows_to_join(files)
    joined = sum(size for size in files if size < limit)
    assert all(size > joined for size in files if size >= limit)


def test_the_files_of_a_real_table_are_joined_so(tmp_path):
    for number, size in enumerate([500, 200, *[7] * 15]):
        rows = pa.table({"key": [f"{number}/{row}" for row in range(size)]})
        lance.write_dataset(rows, tmp_path / "one.lance", mode="append" if number else "create")
    join_small_files(tmp_path / "one.lance")

    table = lance.dataset(str(tmp_path / "one.lance"))
    assert [fragment.count_rows() for fragment in table.get_fragments()] == [500, 200, 105]
    assert len(set(table.to_table()["key"].to_pylist())) == 805


def test_joined_files_and_indices_are_the_same_rows_and_nothing_else_is(tmp_path):
    schema, store = pa.schema([key_field("key"), pa.field("words", pa.utf8())]), Store(tmp_path)
    path = store.path("one")

    def rows(*keys):
        return pa.table({"key": list(keys), "words": ["a word"] * len(keys)}, schema=schema)

    with store.writer("a test") as writer:
        for number in range(12):
            writer.upsert("one", rows(f"k{number}"), schema)
        before = store.version("one")
        writer.compact("one")
        writer.index_words("one", "words")
        after = store.version("one")
        assert len(store.open("one").get_fragments()) < 12
        assert after > before
        assert same_rows(path, before, after)
        assert not same_rows(path, after, before)
        writer.upsert("one", rows("k3"), schema)  # replaced by an equal row
        assert not same_rows(path, after, store.version("one"))
        deleted_from = store.version("one")
        writer.delete("one", "key", ["k5"])
        assert not same_rows(path, deleted_from, store.version("one"))
        writer.upsert("one", rows("new"), schema)
        assert not same_rows(path, before, store.version("one"))
