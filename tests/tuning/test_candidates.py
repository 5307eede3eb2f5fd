"""Candidates are read from several files; doubles and rewrites that change nothing are left out, faults are told at once."""

import json

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sources.faults import SourceFaults
from sources.queries import normalised
from tuning.candidates import candidate_table, read_candidates

text = st.text(max_size=12)


def test_files_of_both_forms_are_joined_and_the_first_one_comes_first(tmp_path):
    listed, answered = tmp_path / "listed.parquet", tmp_path / "answered.parquet"
    pl.DataFrame({"query": ["Sci-Fi"], "rewrites": [["space opera", "aliens"]]}).write_parquet(listed)
    answer = json.dumps({"thought": "Of the future.", "rewrites": ["Space  Opera", "robots"]})
    pl.DataFrame({"query": ["sci-fi "], "answer": [answer]}).write_parquet(answered)

    table = read_candidates([listed, answered])

    assert table.rows() == [
        ("sci-fi", None, "space opera", 0),
        ("sci-fi", None, "aliens", 1),
        ("sci-fi", "Of the future.", "robots", 2),
    ]


def test_all_that_is_wrong_with_the_files_is_told_at_once(tmp_path):
    broken, other = tmp_path / "broken.parquet", tmp_path / "other.parquet"
    pl.DataFrame({"query": ["a", "b"], "answer": ["no JSON", '{"rewrites": "one"}']}).write_parquet(broken)
    pl.DataFrame({"question": ["a"]}).write_parquet(other)

    with pytest.raises(SourceFaults) as caught:
        read_candidates([broken, other, tmp_path / "none.parquet"])

    said = str(caught.value)
    assert [fault.row for fault in caught.value.faults] == [1, 2, None, None]
    assert "there is no such file" in said
    assert "has only the columns question" in said
    assert "give a table with the columns query and rewrites" in said


@given(st.lists(st.tuples(text, st.none() | text, text), max_size=8))
def test_no_query_has_the_same_rewrite_twice_or_itself(rows):
    table = candidate_table(rows)

    keys = [(query, normalised(rewrite)) for query, rewrite in table.select("query", "rewrite").iter_rows()]
    assert len(keys) == len(set(keys))
    assert all(query and rewrite and query != rewrite for query, rewrite in keys)
    assert all(query == normalised(query) for query, _ in keys)
    for part in table.partition_by("query"):
        assert part["place"].to_list() == list(range(len(part)))
