"""RM3 against its formula in exact numbers."""

from collections import Counter

import pytest

from retrieval.pseudo_feedback import expand, rm3
from retrieval.search import BulkSearch


def test_words_are_weighed_by_how_likely_the_documents_found_make_them():
    # q = a b; documents a c c (score 3) and b c (score 1):
    # p(a) = 1/3 * 3/4 = 1/4, p(c) = 2/3 * 3/4 + 1/2 * 1/4 = 5/8, p(b) = 1/2 * 1/4 = 1/8; half and half with 1/2, 1/2
    found = expand(Counter("ab"), [(["a", "c", "c"], 3.0), (["b", "c"], 1.0)], set())
    assert found == pytest.approx({"a": 1 / 4 + 1 / 8, "b": 1 / 4 + 1 / 16, "c": 5 / 16})
    assert sum(found.values()) == pytest.approx(1)


def test_common_words_are_not_added_and_the_rest_sums_to_one_again():
    found = expand(Counter("a"), [(["a", "c", "d", "d"], 1.0)], {"d"})
    assert found == pytest.approx({"a": 0.5 + 0.25, "c": 0.25})


def test_only_the_likeliest_ten_are_added_and_the_alphabet_decides_between_equals():
    words = list("abcdefghijkl")
    assert list(expand(Counter("z"), [(words, 1.0)], set())) == [*"abcdefghij", "z"]


def test_a_query_that_finds_nothing_stays_itself():
    assert expand(Counter("aab"), [], set()) == pytest.approx({"a": 2 / 3, "b": 1 / 3})
    assert expand(Counter(), [], set()) == {}


def test_a_document_without_the_querys_word_is_found_through_those_that_have_it():
    texts = ["ghost medium", "ghost medium", "medium seance", *[f"other{n} thing{n}" for n in range(40)]]
    search = BulkSearch([str(n) for n in range(len(texts))], texts)

    assert search.search(["ghost"], 3).tolist() == [[0, 1, -1]]
    assert rm3(search, ["ghost", "nowhere", ""], 3).tolist() == [[0, 1, 2], [-1] * 3, [-1] * 3]
