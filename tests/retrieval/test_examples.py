"""Examples: the published similarity, the guards (L1, L2), ties, shortage; and by chance, under the same guards."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import retrieval.examples
from retrieval.examples import ExamplePool, ExampleRule, Situations, encodings, retrieve

TWO = ExampleRule(count=2)
LOOSE = ExampleRule(count=2, strict=False)
PLANE = [[1, 0], [0, 1], [1, 1], [-1, 0]]
"""Items at 0, 90, 45 and 180 degrees."""
# Users 0 to 2 on items 0 to 3 at seconds 1 to 5: few enough for ties of every kind.
EVENTS = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 3), st.integers(1, 5), st.booleans(), st.booleans()),
    min_size=1,
    max_size=14,
    unique_by=lambda event: event[:3],
)


def second(number: int) -> np.datetime64:
    return np.datetime64(int(number), "s").astype("datetime64[us]")


def events(user, item, seconds, history=None, vectors=PLANE) -> Situations:
    """Samples of given users, items and seconds; a history is the items it holds."""
    past = np.array(history if history is not None else [[-1]] * len(user))
    encoded = encodings(np.array(vectors, dtype=np.float32), np.array(item), past)
    return Situations(np.array(user), np.array([second(one) for one in seconds]), encoded)


def pool_of(asked: Situations, rows, label, seen_until=None) -> ExamplePool:
    """Some samples as examples; the label of every sample."""
    rows = np.array(rows, dtype=np.int64)
    return ExamplePool(asked.at(rows), np.array(label, dtype=np.float32)[rows], seen_until)


LABEL = [1, 1, 0, 0, 1, 0]


@pytest.fixture
def plane():
    """Samples 0 to 3 are the examples, of users 1 and 2, without a history; sample 4 is user 0's: item 2 after item 0."""
    asked = events([1, 1, 2, 2, 0, 0], [0, 1, 2, 3, 2, 0], [1, 2, 3, 4, 9, 5], [[-1], [-1], [-1], [-1], [0], [-1]])
    return asked, pool_of(asked, [0, 1, 2, 3], LABEL)


def test_similarity_is_half_of_the_items_and_half_of_the_histories_by_hand():
    # Example 1 has a history too: items 3 and 2, whose sum (-1 + 0.7071, 0.7071) lies at 112.5 degrees.
    past = [[-1, -1], [3, 2], [-1, -1], [-1, -1], [-1, 0]]
    asked = events([1, 1, 2, 2, 0], [0, 1, 2, 1, 2], [1, 2, 3, 4, 9], past)

    found = retrieve(pool_of(asked, [0, 1, 2, 3], LABEL), asked, LOOSE)

    # Sample 4: item at 45 degrees, history at 0. Example 0: cos 45 of the items, no history: 0.3536.
    # Example 1: cos 45 of the items, cos 112.5 of the histories: (0.7071 - 0.3827) / 2. Examples 2 and 3: 1 / 2, 0.3536.
    assert found.chosen[4].tolist() == [0, 2]  # of each label the nearest; the nearest of all last
    assert found.similarity[4] == pytest.approx([0.5**0.5 / 2, 0.5])
    alone = retrieve(pool_of(asked, [1], LABEL), asked, LOOSE)
    assert alone.similarity[4] == pytest.approx([0, (np.cos(np.pi / 4) + np.cos(np.pi * 112.5 / 180)) / 2])


def test_a_sample_without_a_history_is_compared_by_its_item_alone_and_nothing_known_is_like_nothing():
    asked = events([0, 1, 2], [2, 2, -1], [1, 2, 3], [[-1, -1], [0, 1], [-1, -1]], np.eye(3))

    none, other, unknown = asked.encoded.of(np.arange(3)).numpy()

    assert none @ other == pytest.approx(0.5)
    assert none @ none == pytest.approx(0.5)
    assert other @ other == pytest.approx(1.0)
    assert not unknown.any()


@pytest.mark.parametrize("rule", [TWO, LOOSE, replace(TWO, by_chance=True)], ids=["strict", "loose", "by chance"])
def test_examples_of_a_tuned_encoder_are_shown_only_to_samples_later_than_all_that_it_saw(plane, rule):
    asked, pool = plane
    until = second(5)  # sample 5 is of this very moment, sample 4 of second 9

    with_guard, without = retrieve(replace(pool, seen_until=until), asked, rule), retrieve(pool, asked, rule)

    assert (asked.time[5], asked.time[4] > until) == (until, True)
    assert (without.chosen[5] >= 0).all()
    assert (with_guard.chosen[[0, 1, 2, 3, 5]] == -1).all()
    assert (with_guard.similarity[[0, 1, 2, 3, 5]] == 0).all()
    np.testing.assert_array_equal(with_guard.chosen[4], without.chosen[4])
    assert (with_guard.chosen[4] >= 0).all()


def brute(asked, rows, label, rule, near):
    """What the guards and the order demand, in plain Python."""
    out = []
    for row in range(len(asked.time)):
        shown = []
        for side in (1, 0):
            fits = []
            for place, example in enumerate(rows):
                if label[example] != side or example == row:
                    continue
                if asked.time[example] >= asked.time[row] and (rule.strict or asked.user[example] == asked.user[row]):
                    continue
                fits.append((-near[row, place], place))
            shown += sorted(fits)[: rule.count // 2]
        # the farthest first; of equals the order in which they were found
        shown = sorted(shown, key=lambda one: -one[0])
        out.append([-1] * (rule.count - len(shown)) + [place for _, place in shown])
    return out


@given(EVENTS, st.sampled_from([2, 4]), st.booleans())
def test_every_sample_is_shown_the_nearest_that_the_guards_allow_and_no_other(made, count, strict):
    user, item, seconds, label, example = (list(column) for column in zip(*made, strict=True))
    # Similarities of these vectors are whole numbers or halves: equal ones are equal to the last bit.
    asked = events(user, item, seconds, vectors=[[1, 0], [1, 0], [0, 1], [-1, 0]])
    rows, rule = np.flatnonzero(example), ExampleRule(count, strict)
    near = asked.encoded.of(np.arange(len(item))).numpy() @ asked.encoded.of(rows).numpy().T

    found = retrieve(pool_of(asked, rows, label), asked, rule)

    assert found.chosen.tolist() == brute(asked, rows.tolist(), label, rule, near)
    for row, chosen in enumerate(found.chosen):  # L1, L2 said once more, the other way round
        shown = rows[chosen[chosen >= 0]]
        assert row not in shown
        assert len(set(shown.tolist())) == len(shown)
        same = asked.user[shown] == asked.user[row]
        assert (asked.time[shown][same] < asked.time[row]).all()
        assert not strict or (asked.time[shown] < asked.time[row]).all()
        of_shown = np.array(label)[shown]
        assert max((of_shown == side).sum() for side in (0, 1)) <= count // 2
        if (chosen >= 0).all():
            assert [(of_shown == side).sum() for side in (0, 1)] == [count // 2] * 2


def test_a_training_row_is_never_shown_itself_nor_another_event_of_its_second():
    asked = events([0, 0, 1, 1], [0, 1, 0, 1], [5, 5, 5, 5])
    pool = pool_of(asked, [0, 1, 2, 3], [1, 0, 1, 0])

    strict, loose = (retrieve(pool, asked, rule).chosen for rule in (TWO, LOOSE))

    assert strict.tolist() == [[-1, -1]] * 4
    assert loose.tolist() == [[3, 2], [2, 3], [1, 0], [0, 1]]  # the other user's, the nearer one last


def test_where_too_few_are_allowed_the_rest_is_missing_and_comes_first(plane):
    asked, pool = plane

    found = retrieve(pool, asked, ExampleRule(count=4))

    assert found.chosen[0].tolist() == [-1, -1, -1, -1]  # nothing is earlier
    assert found.chosen[2].tolist() == [-1, -1, 0, 1]  # two liked ones at second 1 and 2, and nothing disliked
    assert found.similarity[2].tolist() == pytest.approx([0, 0, 8**-0.5, 8**-0.5])  # cos 45 / 2; the first first
    assert (found.chosen[4] >= 0).all()


def test_fewer_examples_than_are_wanted_or_none_at_all(plane):
    asked, _ = plane

    one, none = (retrieve(pool_of(asked, rows, LABEL), asked, ExampleRule(count=4)) for rows in ([1], []))

    assert one.chosen[4].tolist() == [-1, -1, -1, 0]
    assert (none.chosen == -1).all()
    assert (none.similarity == 0).all()
    assert none.chosen.shape == (6, 4)


def test_nothing_known_of_any_item_leaves_the_first_that_are_allowed():
    asked = events([1, 1, 2, 2, 0], [-1] * 5, [1, 2, 3, 4, 9], vectors=np.zeros((0, 2)))

    found = retrieve(pool_of(asked, [0, 1, 2, 3], LABEL), asked, TWO)

    assert found.chosen[4].tolist() == [0, 2]
    assert (found.similarity == 0).all()


@pytest.mark.parametrize("count", [0, 1, 3, -2])
def test_an_odd_number_of_examples_is_refused(plane, count):
    asked, pool = plane

    with pytest.raises(ValueError, match=f"{count} examples cannot be half liked and half not: use an even number"):
        retrieve(pool, asked, ExampleRule(count=count))


@pytest.fixture(scope="module")
def log():
    """600 samples of 40 users with vectors at random; every third of the first 400 is an example."""
    random = np.random.default_rng(5)
    past = random.integers(25, size=(600, 12))
    asked = events(
        random.integers(40, size=600),
        random.integers(25, size=600),
        np.sort(random.integers(200, size=600)),
        past,
        random.normal(size=(25, 6)),
    )
    return asked, pool_of(asked, np.arange(0, 400, 3), random.integers(2, size=600))


def test_blocks_do_not_show(log, monkeypatch):
    asked, pool = log
    whole = retrieve(pool, asked)

    monkeypatch.setattr(retrieval.examples, "BLOCK", 7)

    assert (retrieve(pool, asked).chosen == whole.chosen).all()


def test_by_chance_the_guards_hold_the_draw_is_the_same_every_time_and_ignores_likeness(log):
    asked, pool = log
    rule = ExampleRule(4, by_chance=True)

    found, again = (retrieve(pool, asked, rule) for _ in range(2))

    nearest = retrieve(pool, asked)
    assert (found.chosen == again.chosen).all()
    there = found.chosen >= 0
    assert (there == (nearest.chosen >= 0)).all()  # as many, for the same guards hold
    times = np.broadcast_to(asked.time[:, None], found.chosen.shape)
    assert (pool.situations.time[found.chosen[there]] < times[there]).all()
    full = there.all(axis=1)
    assert (pool.label[found.chosen[full]].sum(axis=1) == 2).all()
    assert (np.sort(found.chosen[full]) != np.sort(nearest.chosen[full])).any(axis=1).mean() > 0.5
    assert found.similarity[there].mean() < nearest.similarity[there].mean() - 0.1
    late = asked.time > np.quantile(asked.time.astype(np.int64), 0.7).astype("datetime64[us]")
    drawn = np.bincount(found.chosen[late & full].ravel(), minlength=len(pool.label))
    assert (drawn > 0).mean() > 0.8  # each has its chance
