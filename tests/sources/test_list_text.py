"""Lists written as text are read as lists if all values of a column are; a text in brackets alone is a text."""

import ast
import json

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sources.columns import to_categories
from sources.list_text import as_lists
from sources.look import look

PARTS = st.none() | st.booleans() | st.integers(-99, 99) | st.text(max_size=5)


@pytest.mark.parametrize(
    ("texts", "lists"),
    [
        (["['Action', 'Indie']", "['Casual']"], [["Action", "Indie"], ["Casual"]]),
        (["[8]", "[27, 9]", ""], [["8"], ["27", "9"], []]),
        (['["a","b"]', None, "[]"], [["a", "b"], [], []]),
        (["['a']", '["b", null]', '["it\'s"]'], None),
        (["['a']", '["it\'s"]', " ['x, y'] "], [["a"], ["it's"], ["x, y"]]),
    ],
)
def test_lists_written_as_text_are_read(texts, lists):
    expected = [[text.strip()] if text else [] for text in texts] if lists is None else lists

    assert to_categories(pl.Series(texts, dtype=pl.String), "|").to_list() == expected


@pytest.mark.parametrize(
    "texts", [["[REC]", "[8]"], ["['a']", "b|c"], ["[{'a': 1}]"], ["[[1], [2]]"], ["[1", "2]"], ["[a](b) [c]"]]
)
def test_a_column_with_one_value_that_is_no_list_stays_text(texts):
    assert as_lists(pl.Series(texts)) is None
    assert to_categories(pl.Series(texts), "|").to_list() == [text.split("|") for text in texts]


@given(lists=st.lists(st.lists(PARTS, max_size=4), min_size=1, max_size=4), write=st.sampled_from([repr, json.dumps]))
def test_what_was_written_is_read_again(lists, write):
    found = as_lists(pl.Series([write(one) for one in lists]))

    if found is None:  # JSON that Python cannot read, or text that polars refuses: then nothing is lost
        assert write is json.dumps
        assert any(not isinstance(part, str) for one in lists for part in one)
        return
    assert len(found) == len(lists)
    for read, one in zip(found, lists, strict=True):
        filled = [str(part).lower() if isinstance(part, bool) else str(part) for part in one if part is not None]
        assert [part for part in read if part is not None] == filled


def test_init_sees_the_lists(tmp_path):
    pl.DataFrame({"id": [1, 2], "feat": ["[8]", "[27, 9]"]}).write_csv(tmp_path / "items.csv")

    column = look(tmp_path / "items.csv").column("feat")

    assert column.is_list
    assert column.filled.to_list() == [["8"], ["27", "9"]]
    assert ast.literal_eval("[27, 9]") == [27, 9]
