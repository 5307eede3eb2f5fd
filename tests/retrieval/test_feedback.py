"""Feedback (B8): the three rewards against sets in exact numbers; what may never make them fall."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.feedback import feedback, feedback_of_all, member

PLACES = st.lists(st.integers(0, 9), max_size=6, unique=True)
SETS = st.sets(st.integers(0, 9))


def ranked(places: list[int], width: int = 8) -> np.ndarray:
    return np.array([*places, *[-1] * (width - len(places))])


def by_sets(x: list[int], y: list[int], relevant: set[int], engaged: set[int]) -> list[Fraction | None]:
    """The formulas of the paper, in sets and fractions."""
    z_x, z_y = set(x), set(y)
    rel_x = z_x & relevant
    relevance = Fraction(len(z_y & relevant), len(z_y)) if z_y else Fraction(0)
    increment = Fraction(len(((z_x | z_y) & relevant) - rel_x), max(1, len(rel_x)))
    wanted = len(engaged & relevant)
    return [relevance, increment, Fraction(len(engaged & (z_x | z_y)), wanted) if wanted else None]


def test_the_rewards_of_a_case_worked_out_by_hand():
    # Z_x = 1 2 5, Z_y = 2 3 4 6, relevant 1 2 3 9, engaged 3 7 9.
    # relevance: 2 and 3 of 4; increment: 3 anew over 1 and 2; hitrate: 3 found, 3 and 9 relevant.
    found = feedback(np.array([1, 2, 5]), np.array([2, 3, 4, 6]), relevant={1, 2, 3, 9}, engaged={3, 7, 9})
    assert (found.relevance, found.increment, found.hitrate) == (0.5, 0.5, 0.5)


def test_a_rewrite_that_finds_nothing_is_worth_nothing():
    found = feedback(np.array([1, 2]), ranked([]), relevant={1, 2}, engaged={1, 3})
    assert (found.relevance, found.increment) == (0, 0)
    assert found.hitrate == 1  # what the query itself found: 1 of the one relevant engaged


def test_where_nothing_engaged_is_relevant_there_is_no_hitrate():
    assert np.isnan(feedback(np.array([1]), np.array([2]), relevant={1}, engaged={3}).hitrate)


@given(x=PLACES, y=PLACES, relevant=SETS, engaged=SETS)
def test_the_rewards_equal_sets(x, y, relevant, engaged):
    found = feedback(ranked(x), ranked(y), relevant, engaged)
    wanted = [float("nan") if value is None else float(value) for value in by_sets(x, y, relevant, engaged)]
    assert [found.relevance, found.increment, found.hitrate] == pytest.approx(wanted, nan_ok=True)


@given(x=PLACES, relevant=SETS, engaged=SETS)
def test_a_rewrite_that_finds_the_same_adds_nothing(x, relevant, engaged):
    assert feedback(ranked(x), ranked(x), relevant, engaged).increment == 0


@given(x=PLACES, y=PLACES, relevant=SETS, engaged=SETS, more=st.integers(0, 9))
def test_finding_one_more_relevant_item_never_lowers_increment_or_hitrate(x, y, relevant, engaged, more):
    relevant = relevant | {more}
    before = feedback(ranked(x), ranked(y), relevant, engaged)
    after = feedback(ranked(x), ranked(y if more in y else [*y, more]), relevant, engaged)
    assert after.increment >= before.increment
    assert np.isnan(before.hitrate) or after.hitrate >= before.hitrate


CASES = st.lists(
    st.tuples(PLACES, st.lists(PLACES, min_size=2, max_size=2), SETS, SETS), min_size=1, max_size=4
)  # two rewrites a query


@given(cases=CASES)
def test_all_at_once_equals_one_by_one(cases):
    found = feedback_of_all(
        np.array([ranked(x) for x, *_ in cases]),
        np.array([[ranked(y, 6) for y in ys] for _, ys, *_ in cases]),
        [np.array(sorted(relevant), dtype=int) for *_, relevant, _ in cases],
        [np.array(sorted(engaged), dtype=int) for *_, engaged in cases],
    )
    for q, (x, ys, relevant, engaged) in enumerate(cases):
        for n, y in enumerate(ys):
            one = feedback(ranked(x), ranked(y), relevant, engaged)
            several = [np.asarray(v)[q, n] for v in (found.relevance, found.increment, found.hitrate)]
            assert several == pytest.approx([one.relevance, one.increment, one.hitrate], nan_ok=True)


def test_no_queries_and_none_places_are_in_no_set():
    assert member(np.zeros((0, 3), dtype=int), []).shape == (0, 3)
    assert member(np.array([[-1, 1]]), [np.array([-1, 1])]).tolist() == [[False, True]]
