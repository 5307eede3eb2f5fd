"""The arms: what each searches, an equal budget for all but the union, and the query itself where nothing is known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.search import BulkSearch, fuse
from retrieval.search_arms import distinct, search_arms

TEXTS = [f"film{n} " + ("spooky" if n % 2 else "ghost") + (" rare" if n == 7 else "") for n in range(120)]
QUERIES = ["ghost", "rar", "spooky rare"]
REWRITES = [["spooky", "rare"], [], ["ghost rare", "film3", "film5"]]


@pytest.fixture
def search() -> BulkSearch:
    return BulkSearch([str(n) for n in range(len(TEXTS))], TEXTS)


def test_every_arm_but_the_union_has_fifty_results_at_most(search):
    arms = search_arms(search, TEXTS, QUERIES, {"recorded": REWRITES}, search.search)

    assert list(arms)[:5] == ["original", "spelling", "rm3", "dense", "original_dense"]
    assert list(arms)[5:] == ["recorded", "recorded_first", "recorded_union"]
    for name, arm in arms.items():
        wanted = (200, 40) if name == "recorded_union" else (50, 10)
        assert (arm.found.shape[1], arm.first.shape[1]) == wanted, name
        for row in (*arm.found, *arm.first):
            places = row[row >= 0].tolist()
            assert len(places) == len(set(places)), name  # a place once a query


def test_rewrites_are_fused_with_the_original_and_missing_ones_leave_the_query(search):
    arms = search_arms(search, TEXTS, QUERIES, {"recorded": REWRITES})
    original = arms["original"].found

    several = [search.search([text], 50)[0] for text in ("spooky rare", "ghost rare", "film3", "film5")]
    assert arms["recorded"].found[2].tolist() == fuse(np.array([several]), 50)[0].tolist()
    for name in ("recorded", "recorded_first"):
        assert arms[name].found[1].tolist() == original[1].tolist()
    assert arms["recorded_first"].found[0].tolist() == search.search(["spooky"], 50)[0].tolist()
    union = arms["recorded_union"].found[2]
    assert set(union[union >= 0].tolist()) == {int(p) for row in several for p in row if p >= 0}


def test_spelling_finds_what_was_meant(search):
    arms = search_arms(search, TEXTS, ["spoky"], {})
    assert (arms["original"].found == -1).all()
    assert (arms["spelling"].found[0] >= 0).all()


@given(rows=st.lists(st.lists(st.integers(-1, 5), min_size=4, max_size=4), min_size=1, max_size=3))
def test_distinct_keeps_every_place_once(rows):
    for row, kept in zip(rows, distinct(np.array(rows)), strict=True):
        assert [p for p in kept.tolist() if p >= 0] == sorted({p for p in row if p >= 0})
