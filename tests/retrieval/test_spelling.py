"""Spelling correction: the nearest known word, the commoner of equally near ones, and nothing else touched."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.spelling import Spelling, distance

TEXTS = ["Time travel story", "Time machine", "Tame story", "Ghost (1990)", "Science of ghosts", "Café"]


@pytest.mark.parametrize(
    ("query", "right"),
    [
        ("tine travel", "time travel"),
        ("tme travle", "tme travel"),  # three letters are too few to tell what is meant
        ("scinece", "science"),  # neighbours swapped: one edit
        ("siense", "siense"),  # two edits, and only words of eight letters may have two
        ("mashine", "machine"),
        ("machnie machine", "machine machine"),
        ("gohst 1991", "ghost 1991"),  # numbers stay
        ("Time Travel", "Time Travel"),  # right already: as it was typed
        ("cafe", "cafe"),
        ("", ""),
        ("zzzzzzzz", "zzzzzzzz"),
    ],
)
def test_queries_are_corrected(query, right):
    assert Spelling(TEXTS).correct(query) == right


def test_of_equally_near_words_the_one_in_more_documents_wins():
    assert Spelling(["star", "star", "stay"]).correct("stax") == "star"
    assert Spelling(["stay", "star", "stay stay"]).correct("stax") == "stay"
    assert Spelling(["stay", "star"]).correct("stax") == "star"  # as many: by the alphabet


LETTERS = st.text("abc", max_size=7)


@given(one=LETTERS, other=LETTERS)
def test_the_distance_equals_a_plain_recursion(one, other):
    assert distance(one, other) == recursion(one, other)


def recursion(a: str, b: str) -> int:
    """Optimal string alignment, straight from its definition."""
    known: dict[tuple[int, int], int] = {}

    def of(i: int, j: int) -> int:
        if (i, j) not in known:
            if min(i, j) == 0:
                known[i, j] = max(i, j)
            else:
                same = 0 if a[i - 1] == b[j - 1] else 1
                edits = [of(i - 1, j) + 1, of(i, j - 1) + 1, of(i - 1, j - 1) + same]
                if i > 1 and j > 1 and a[i - 1] == b[j - 2] and a[i - 2] == b[j - 1]:
                    edits.append(of(i - 2, j - 2) + 1)
                known[i, j] = min(edits)
        return known[i, j]

    return of(len(a), len(b))


WORD = st.text("abcd", min_size=4, max_size=10)


@given(words=st.lists(WORD, min_size=1, max_size=8), wrong=WORD)
def test_what_is_found_by_deletions_is_what_a_walk_over_all_words_finds(words, wrong):
    most = 2 if len(wrong) >= 8 else 1
    near = {word for word in words if distance(wrong, word) <= most}
    best = min(near, key=lambda word: (distance(wrong, word), -words.count(word), word), default=wrong)
    assert Spelling(words).correct(wrong) == (wrong if wrong in words else best)


def test_a_word_longer_than_any_that_is_near_is_left_as_it_is_and_at_once():
    spelling = Spelling(["terminator"])

    assert spelling.correct("terminatorxx") == "terminator"
    assert spelling.correct("terminatorxxx") == "terminatorxxx"
    assert spelling.correct("x" * 100_000) == "x" * 100_000  # its forms would fill the memory
