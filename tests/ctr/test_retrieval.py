"""Retrieval: the published similarity, the guards (L1, L2, L3), ties, shortage, and the sample's own label (L4)."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ctr.retrieval
from ctr.faults import UnfitExamples
from ctr.retrieval import Choice, Encodings, Pool, encodings, find_pool, retrieve
from feature_store.knowledge import Knowledge
from sources.tables import event_id

EPOCH = np.datetime64(0, "us")
TWO = Choice(count=2)
LOOSE = Choice(count=2, strict=False)
# Users 0 to 2 on items 0 to 3 at seconds 1 to 5: few enough for ties of every kind.
EVENTS = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 3), st.integers(1, 5), st.booleans(), st.booleans()),
    min_size=1,
    max_size=14,
    unique_by=lambda event: event[:3],
)


def items_of(vectors):
    """Facts about items 0, 1, ... from the epoch on."""
    table = np.array(vectors, dtype=np.float32)
    names = np.array([str(place) for place in range(len(table))], dtype=str)
    return Knowledge("item_facts", "dense", "item", names, np.full(len(table), EPOCH), table)


def pool_of(rows):
    return Pool(np.array(rows, dtype=np.int64), np.arange(len(rows)))


@pytest.fixture
def plane(world):
    """Items at 0, 90, 45 and 180 degrees.

    Samples 0 to 3 are the examples, of users 1 and 2, without a history; sample 4 is user 0's: item 2 after item 0.
    """
    items = items_of([[1, 0], [0, 1], [1, 1], [-1, 0]])
    samples = world.bare(
        [1, 1, 2, 2, 0, 0],
        [0, 1, 2, 3, 2, 0],
        [1, 2, 3, 4, 9, 5],
        [[-1], [-1], [-1], [-1], [5], [-1]],
        label=np.float32([1, 1, 0, 0, 1, 0]),
        items=4,
    )
    return samples, items


def test_similarity_is_half_of_the_items_and_half_of_the_histories_by_hand(plane):
    samples, items = plane
    # Example 1 gets a history too: items 1 and 0, whose mean lies at 45 degrees.
    history = np.array([[-1, -1], [3, 0], [-1, -1], [-1, -1], [-1, 5], [-1, -1]], dtype=np.int32)
    samples = replace(samples, history=history, item=np.array([0, 1, 2, 1, 2, 0]))

    found = retrieve(pool_of([0, 1, 2, 3]), encodings(items, samples), samples, LOOSE)

    # Sample 4: item at 45 degrees, history at 0. Example 0: items cos 45 = 0.7071, no history: 0.3536.
    # Example 1: item at 90 degrees, cos 45; history cos 45: 0.7071. Examples 2 and 3: 1 / 2, cos 45 / 2.
    assert found.chosen[4].tolist() == [2, 1]  # of each label the nearest; the nearest of all last
    assert found.similarity[4] == pytest.approx([0.5, 0.5**0.5])


@pytest.mark.parametrize("choice", [TWO, LOOSE, replace(TWO, by_chance=True)], ids=["strict", "loose", "by chance"])
def test_examples_of_a_tuned_encoder_are_shown_only_to_samples_later_than_all_that_it_saw(plane, choice):
    samples, items = plane
    until = np.datetime64(5, "s").astype("datetime64[us]")  # sample 5 is of this very moment, sample 4 of second 9
    pool = replace(pool_of([0, 1, 2, 3]), seen_until=until)

    with_guard = retrieve(pool, encodings(items, samples), samples, choice)
    without = retrieve(pool_of([0, 1, 2, 3]), encodings(items, samples), samples, choice)

    assert (samples.time[5], samples.time[4] > until) == (until, True)
    assert (without.chosen[5] >= 0).all()
    assert (with_guard.chosen[[0, 1, 2, 3, 5]] == -1).all()
    assert (with_guard.similarity[[0, 1, 2, 3, 5]] == 0).all()
    np.testing.assert_array_equal(with_guard.chosen[4], without.chosen[4])
    assert (with_guard.chosen[4] >= 0).all()


def test_a_pool_says_what_the_encoder_of_its_vectors_saw(plane):
    samples, _ = plane
    until = np.datetime64(2, "s").astype("datetime64[us]")
    about = event_id(str(samples.user_ids[samples.user[0]]), str(samples.item_ids[samples.item[0]]))
    vectors = np.ones((1, 2), dtype=np.float32)
    knowledge = Knowledge("cot_examples", "note", "event", np.array([about]), samples.time[:1], vectors, until)

    assert find_pool(knowledge, samples).seen_until == until
    assert find_pool(replace(knowledge, seen_until=None), samples).seen_until is None


def test_the_newest_twelve_events_are_the_history(world):
    random = np.random.default_rng(0)
    items = items_of(random.normal(size=(20, 3)))
    place = np.arange(20)
    history = [[-1] * (15 - min(n, 15)) + list(range(max(0, n - 15), n)) for n in place]
    samples = world.bare([0] * 20, place.tolist(), place.tolist(), history)

    found = encodings(items, samples).of(np.array([19, 5, 0])).numpy()

    unit = items.vectors / np.linalg.norm(items.vectors, axis=1, keepdims=True)
    for row, n in enumerate((19, 5)):
        mean = unit[max(0, n - 12) : n].mean(0)
        expected = np.concatenate([mean / np.linalg.norm(mean), unit[n]]) / 2**0.5
        np.testing.assert_allclose(found[row], expected, atol=1e-6)
    assert found[2, :3].tolist() == [0, 0, 0]  # no history yet


def test_what_is_known_of_an_item_too_late_is_not_compared(world):
    samples = world.bare([0, 0, 0], [0, 1, 0], [1, 2, 3], [[-1], [0], [1]])
    late = replace(items_of([[1, 0], [0, 1]]), as_of=np.array([2, 0], dtype="datetime64[s]").astype("datetime64[us]"))

    found = encodings(late, samples).of(np.arange(3))

    assert found[:, 2:].tolist() == pytest.approx(np.array([[0, 0], [0, 1], [1, 0]]) / 2**0.5)
    assert found[1, :2].tolist() == [0, 0]  # at second 2, item 0 is not known yet


def brute(samples, pool, choice, near):
    """What the guards and the order demand, in plain Python."""
    out = []
    for row in range(len(samples.item)):
        shown = []
        for label in (1, 0):
            fits = []
            for place, example in enumerate(pool.sample.tolist()):
                if samples.label[example] != label or example == row:
                    continue
                if samples.time[example] >= samples.time[row] and (
                    choice.strict or samples.user[example] == samples.user[row]
                ):
                    continue
                fits.append((-near[row, place], place))
            shown += sorted(fits)[: choice.count // 2]
        # the farthest first; of equals the order in which they were found
        shown = sorted(shown, key=lambda one: -one[0])
        out.append([-1] * (choice.count - len(shown)) + [place for _, place in shown])
    return out


@given(EVENTS, st.sampled_from([2, 4]), st.booleans())
def test_every_sample_is_shown_the_nearest_that_the_guards_allow_and_no_other(world, events, count, strict):
    user, item, second, liked, example = (list(column) for column in zip(*events, strict=True))
    samples = world.bare(user, item, second, items=4, label=np.float32(liked))
    pool, choice = pool_of(np.flatnonzero(example)), Choice(count, strict)
    # Similarities of these vectors are whole numbers or halves: equal ones are equal to the last bit.
    encoded = encodings(items_of([[1, 0], [1, 0], [0, 1], [-1, 0]]), samples)
    near = encoded.of(np.arange(len(item))).numpy() @ encoded.of(pool.sample).numpy().T

    found = retrieve(pool, encoded, samples, choice)

    assert found.chosen.tolist() == brute(samples, pool, choice, near)
    for row, chosen in enumerate(found.chosen):  # L1, L2 said once more, the other way round
        shown = pool.sample[chosen[chosen >= 0]]
        assert row not in shown
        assert len(set(shown.tolist())) == len(shown)
        same = samples.user[shown] == samples.user[row]
        assert (samples.time[shown][same] < samples.time[row]).all()
        assert not strict or (samples.time[shown] < samples.time[row]).all()
        assert max((samples.label[shown] == label).sum() for label in (0, 1)) <= count // 2
        if (chosen >= 0).all():
            assert [(samples.label[shown] == label).sum() for label in (0, 1)] == [count // 2] * 2


def test_a_training_row_is_never_shown_itself_nor_another_event_of_its_second(world):
    samples = world.bare([0, 0, 1, 1], [0, 1, 0, 1], [5, 5, 5, 5], label=np.float32([1, 0, 1, 0]))
    encoded = encodings(items_of([[1, 0], [0, 1]]), samples)

    strict, loose = (retrieve(pool_of([0, 1, 2, 3]), encoded, samples, choice).chosen for choice in (TWO, LOOSE))

    assert strict.tolist() == [[-1, -1]] * 4
    assert loose.tolist() == [[3, 2], [2, 3], [1, 0], [0, 1]]  # the other user's, the nearer one last


def test_where_too_few_are_allowed_the_rest_is_missing_and_comes_first(plane):
    samples, items = plane

    found = retrieve(pool_of([0, 1, 2, 3]), encodings(items, samples), samples, Choice(count=4))

    assert found.chosen[0].tolist() == [-1, -1, -1, -1]  # nothing is earlier
    assert found.chosen[2].tolist() == [-1, -1, 0, 1]  # two liked ones at second 1 and 2, and nothing disliked
    assert found.similarity[2].tolist() == pytest.approx([0, 0, 8**-0.5, 8**-0.5])  # cos 45 / 2; the first first
    assert (found.chosen[4] >= 0).all()


def test_fewer_examples_than_are_wanted_or_none_at_all(plane):
    samples, items = plane
    encoded = encodings(items, samples)

    one, none = (retrieve(pool_of(rows), encoded, samples, Choice(count=4)) for rows in ([1], []))

    assert one.chosen[4].tolist() == [-1, -1, -1, 0]
    assert (none.chosen == -1).all()
    assert (none.similarity == 0).all()
    assert none.chosen.shape == (6, 4)


def test_nothing_known_of_any_item_leaves_the_first_that_are_allowed(plane):
    samples, items = plane
    nothing = replace(items, entities=items.entities[:0], as_of=items.as_of[:0], vectors=items.vectors[:0])

    found = retrieve(pool_of([0, 1, 2, 3]), encodings(nothing, samples), samples, TWO)

    assert found.chosen[4].tolist() == [0, 2]
    assert (found.similarity == 0).all()


@pytest.mark.parametrize("count", [0, 1, 3, -2])
def test_an_odd_number_of_examples_is_refused(plane, count):
    samples, items = plane

    with pytest.raises(ValueError, match=f"{count} examples cannot be half liked and half not: take an even number"):
        retrieve(pool_of([0]), encodings(items, samples), samples, Choice(count=count))


@pytest.mark.parametrize("strict", [True, False])
def test_a_sample_s_own_label_changes_nothing_it_is_shown(world, samples, strict):
    knowledge, items = world.examples(samples), world.knowledge(samples)
    choice = Choice(4, strict)
    shown = retrieve(find_pool(knowledge, samples), encodings(items, samples), samples, choice).chosen

    for row in [*range(0, len(samples.item), 37), *find_pool(knowledge, samples).sample[::9]]:
        label, rating = samples.label.copy(), samples.rating.copy()
        label[row], rating[row] = 1 - label[row], 6 - rating[row]
        flipped = replace(samples, label=label, rating=rating)
        again = retrieve(find_pool(knowledge, flipped), encodings(items, flipped), flipped, choice).chosen
        assert again[row].tolist() == shown[row].tolist()


def test_blocks_do_not_show(world, samples, monkeypatch):
    pool, encoded = find_pool(world.examples(samples), samples), encodings(world.knowledge(samples), samples)
    whole = retrieve(pool, encoded, samples, Choice())

    monkeypatch.setattr(ctr.retrieval, "BLOCK", 7)

    assert (retrieve(pool, encoded, samples, Choice()).chosen == whole.chosen).all()


def test_by_chance_the_guards_hold_the_draw_is_the_same_every_time_and_ignores_likeness(world, samples):
    pool, choice = find_pool(world.examples(samples, every=3), samples), Choice(4, by_chance=True)
    encoded = encodings(world.knowledge(samples), samples)

    found, again = (retrieve(pool, encoded, samples, choice) for _ in range(2))

    nearest = retrieve(pool, encoded, samples, Choice())
    assert (found.chosen == again.chosen).all()
    there = found.chosen >= 0
    assert (there == (nearest.chosen >= 0)).all()  # as many, for the same guards hold
    times = np.broadcast_to(samples.time[:, None], found.chosen.shape)
    assert (samples.time[pool.sample[found.chosen[there]]] < times[there]).all()
    full = there.all(axis=1)
    assert (samples.label[pool.sample[found.chosen[full]]].sum(axis=1) == 2).all()
    assert (np.sort(found.chosen[full]) != np.sort(nearest.chosen[full])).any(axis=1).mean() > 0.5
    assert found.similarity[there].mean() < nearest.similarity[there].mean() - 0.1
    late = samples.time > np.quantile(samples.time.astype(np.int64), 0.9).astype("datetime64[us]")
    drawn = np.bincount(found.chosen[late & full].ravel(), minlength=len(pool.sample))
    assert (drawn > 0).mean() > 0.8  # each has its chance


def test_each_row_of_knowledge_is_its_training_event_by_user_item_and_time(world):
    # User 0 rates item 1 twice, at seconds 1 and 4; a stranger, an unknown item and an unknown time are no events.
    samples = world.bare([0, 1, 0], [1, 1, 1], [1, 2, 4])
    names = [event_id("0", "1"), event_id("9", "1"), event_id("0", "1"), event_id("1", "7"), event_id("1", "1")]
    seconds = np.array([4, 1, 1, 2, 3], dtype="datetime64[s]").astype("datetime64[us]")
    knowledge = Knowledge("cot_examples", "dense", "event", np.array(names), seconds, np.zeros((5, 2), np.float32))

    pool = find_pool(knowledge, samples)

    assert pool.sample.tolist() == [2, 0]
    assert pool.row.tolist() == [0, 2]


def test_an_event_that_the_data_holds_twice_is_one_example(world):
    samples = world.bare([0, 0], [1, 1], [3, 3])

    assert find_pool(world.events_known(samples, [1]), samples).sample.tolist() == [0]


@pytest.mark.parametrize("part", [1, 2])
def test_examples_that_are_not_for_training_are_refused_with_their_number_and_the_command(world, part):
    samples = world.bare([0, 0, 1], [0, 1, 1], [1, 2, 3], part=np.array([0, part, part], dtype=np.int8))

    with pytest.raises(UnfitExamples) as caught:
        find_pool(world.events_known(samples, [0, 1, 2]), samples)

    assert str(caught.value).splitlines() == [
        "cot_examples: 2 of 3 examples are events that the split keeps for validation or test, "
        "such as user 0, item 1, 1970-01-01T00:00:02.000000",
        "  make the examples anew under this split: knowflow refresh --task cot_examples",
    ]
    assert (caught.value.task, caught.value.wrong, caught.value.total) == ("cot_examples", 2, 3)


def test_no_knowledge_is_an_empty_pool(world, samples):
    assert find_pool(world.events_known(samples, []), samples).sample.tolist() == []
    assert isinstance(encodings(world.knowledge(samples), samples), Encodings)
