"""The version of the data: a hash of its content and of nothing else."""

import polars as pl
import pytest

from sources.tables import content_hash

TABLE = pl.DataFrame({"a": [1, 2], "b": ["x", None]})


def test_the_same_content_has_the_same_hash_however_it_lies_in_memory():
    in_chunks = pl.concat([TABLE[:1], TABLE[1:]], rechunk=False)

    assert in_chunks.n_chunks() == 2
    assert content_hash([in_chunks]) == content_hash([TABLE])


@pytest.mark.parametrize(
    "other",
    [
        [TABLE.reverse()],
        [TABLE.rename({"a": "c"})],
        [TABLE.select("b", "a")],
        [TABLE.cast({"a": pl.Float64})],
        [TABLE.with_columns(pl.col("b").fill_null(""))],
        [TABLE.with_columns(pl.col("b").fill_null("null"))],
        [TABLE[:1]],
        [TABLE, None],
        [None, TABLE],
        [TABLE[:1], TABLE[1:]],
    ],
)
def test_any_other_content_has_another_hash(other):
    assert content_hash(other) != content_hash([TABLE])
