"""Views: a sample sees only what was known strictly before it, of its target, its user and its whole history."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctr.views import View, history_view, knowledge_view, sample_view
from feature_store.vectors import Knowledge

EVENTS = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3), st.integers(0, 5)), min_size=1, max_size=12)
ROWS = st.sets(st.tuples(st.integers(0, 5), st.integers(0, 6)), max_size=12)  # ids 4 and 5 are of nobody


def knowledge_of(rows, entity):
    listed = sorted(rows, key=lambda row: (row[1], -row[0]))
    return Knowledge(
        task="t",
        encoder="e",
        entity=entity,
        entities=np.array([str(who) for who, _ in listed], dtype=str),
        as_of=np.array([second for _, second in listed], dtype="datetime64[s]").astype("datetime64[us]"),
        vectors=np.arange(len(listed), dtype=np.float32)[:, None],
    )


def samples_with_history(world, events, length=3):
    """Histories by the naive rule: rows of the user's strictly earlier events."""
    history = []
    for user, _, second in events:
        past = [(then, row) for row, (other, _, then) in enumerate(events) if other == user and then < second]
        past = [row for _, row in sorted(past)][-length:]
        history.append([-1] * (length - len(past)) + past)
    user, item, second = (list(column) for column in zip(*events, strict=True))
    return world.bare(user, item, second, history, items=4)


def newest(knowledge, code, second):
    """Index of the newest row about an entity made strictly before a second, -1 = none."""
    moment = np.datetime64(second, "s")
    rows = [m for m, who in enumerate(knowledge.entities) if who == str(code) and knowledge.as_of[m] < moment]
    return max(rows, key=lambda m: knowledge.as_of[m], default=-1)


@given(EVENTS, ROWS, st.sampled_from(["item", "user"]))
def test_a_sample_sees_only_knowledge_made_strictly_before_it(world, events, rows, entity):
    samples, knowledge = samples_with_history(world, events), knowledge_of(rows, entity)

    view = knowledge_view(knowledge, samples)

    codes = samples.item if entity == "item" else samples.user
    expected = [newest(knowledge, code, event[2]) for code, event in zip(codes, events, strict=True)]
    assert view.rows.tolist() == expected
    seen = view.rows >= 0
    assert (knowledge.as_of[view.rows[seen]] < samples.time[seen]).all()  # K1


@given(EVENTS, ROWS)
def test_history_items_are_seen_as_they_were_known_strictly_before_the_sample(world, events, rows):
    samples, knowledge = samples_with_history(world, events), knowledge_of(rows, "item")

    view = history_view(knowledge, samples)

    expected = [
        [newest(knowledge, events[past][1], event[2]) if past >= 0 else -1 for past in history]
        for event, history in zip(events, samples.history, strict=True)
    ]
    assert view.rows.tolist() == expected
    times = np.broadcast_to(samples.time[:, None], view.rows.shape)
    seen = view.rows >= 0
    assert (knowledge.as_of[view.rows[seen]] < times[seen]).all()  # K1


def test_knowledge_made_after_an_event_of_the_history_but_before_the_sample_is_seen(world):
    # The event at second 1 is history at 5 and at 6; what was learned of its item at 5 is seen at 6 alone.
    samples = world.bare([0, 0, 0], [1, 0, 0], [1, 5, 6], [[-1], [0], [0]])

    view = history_view(knowledge_of({(1, 5)}, "item"), samples)

    assert view.rows.tolist() == [[-1], [-1], [0]]


def test_knowledge_about_something_else_is_never_joined_by_a_like_name(world):
    # Users, items and queries are all called 0 and 1 here.
    samples = world.bare([0, 1], [1, 0], [5, 6], [[-1], [-1]])
    second = world.bare([0, 0], [0, 1], [1, 5], [[-1], [0]])

    assert knowledge_view(knowledge_of({(0, 0), (1, 0)}, "query"), samples).rows.tolist() == [-1, -1]
    assert history_view(knowledge_of({(0, 0)}, "user"), second).rows.tolist() == [[-1], [-1]]
    assert knowledge_view(knowledge_of({(0, 0)}, "user"), samples).rows.tolist() == [0, -1]
    assert knowledge_view(knowledge_of({(0, 0)}, "item"), samples).rows.tolist() == [-1, 0]


def test_coverage_is_the_share_of_places_where_something_is_known():
    table = np.zeros((2, 3), dtype=np.float32)

    assert View(table, np.array([0, -1, 1, 1])).coverage == 0.75
    assert View(table, np.array([[0, -1], [-1, -1]])).coverage == 0.25
    assert View(table, np.array([], dtype=np.int64)).coverage == 0
    assert View(table, np.array([0])).width == 3


def test_no_knowledge_at_all_is_known_nowhere(world, samples):
    empty = knowledge_of(set(), "item")

    assert knowledge_view(empty, samples).coverage == history_view(empty, samples).coverage == 0


def test_features_made_once_per_sample_are_seen_by_that_sample_alone_and_scaled_by_earlier_ones(world):
    samples = world.bare([0, 0, 1, 1], [0, 1, 0, 1], [1, 2, 3, 3])

    view = sample_view(np.array([[1.0], [4.0], [7.0], [100.0]]), np.array([True, True, False, True]), samples)

    assert view.rows.tolist() == [0, 1, -1, 3]
    assert view.table.dtype == np.float32
    # Before the first there is nothing to scale by; before the second one value, so no deviation; before the fourth 1
    # and 4: mean 2.5, deviation 1.5, and no more than 5 deviations are told.
    assert view.table[[0, 1, 3], 0] == pytest.approx([1, 3, 5])
