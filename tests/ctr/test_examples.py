"""Examples of a training run: what samples are compared by, the sample's own label (L4), training rows alone (L3)."""

import json
from dataclasses import replace

import numpy as np
import pytest

from base.faults import WrongUse
from ctr.examples import REPORTED, ExampleRows, find_examples, shown_to_test, situations
from feature_store.vectors import Knowledge
from retrieval.examples import ExamplePool, ExampleRule, Retrieved, Situations, retrieve
from sources.tables import event_id

EPOCH = np.datetime64(0, "us")


def items_of(vectors):
    """Facts about items 0, 1, ... from the epoch on."""
    table = np.array(vectors, dtype=np.float32)
    names = np.array([str(place) for place in range(len(table))], dtype=str)
    return Knowledge("item_facts", "dense", "item", names, np.full(len(table), EPOCH), table)


def test_the_newest_twelve_events_are_the_history(world):
    random = np.random.default_rng(0)
    items = items_of(random.normal(size=(20, 3)))
    place = np.arange(20)
    history = [[-1] * (15 - min(n, 15)) + list(range(max(0, n - 15), n)) for n in place]
    samples = world.bare([0] * 20, place.tolist(), place.tolist(), history)

    found = situations(items, samples).encoded.of(np.array([19, 5, 0])).numpy()

    unit = items.vectors / np.linalg.norm(items.vectors, axis=1, keepdims=True)
    for row, n in enumerate((19, 5)):
        mean = unit[max(0, n - 12) : n].mean(0)
        expected = np.concatenate([mean / np.linalg.norm(mean), unit[n]]) / 2**0.5
        np.testing.assert_allclose(found[row], expected, atol=1e-6)
    assert found[2, :3].tolist() == [0, 0, 0]  # no history yet


def test_items_that_were_shown_and_not_chosen_are_not_recent(world):
    samples = world.bare([0, 0, 0], [0, 1, 0], [1, 2, 3], [[-1, -1], [-1, 0], [0, 1]])
    picked = replace(samples, chosen=np.array([True, False, True]))

    found = situations(items_of([[1, 0], [0, 1]]), picked).encoded.of(np.arange(3))

    assert found[:, :2].tolist() == pytest.approx(np.array([[0, 0], [1, 0], [1, 0]]) / 2**0.5)


def test_what_is_known_of_an_item_too_late_is_not_compared(world):
    samples = world.bare([0, 0, 0], [0, 1, 0], [1, 2, 3], [[-1], [0], [1]])
    late = replace(items_of([[1, 0], [0, 1]]), as_of=np.array([2, 0], dtype="datetime64[s]").astype("datetime64[us]"))

    found = situations(late, samples).encoded.of(np.arange(3))

    assert found[:, 2:].tolist() == pytest.approx(np.array([[0, 0], [0, 1], [1, 0]]) / 2**0.5)
    assert found[1, :2].tolist() == [0, 0]  # at second 2, item 0 is not known yet


def chosen(knowledge, items, samples, rule):
    asked, rows = situations(items, samples), find_examples(knowledge, samples)
    return retrieve(ExamplePool(asked.at(rows.sample), samples.label[rows.sample]), asked, rule).chosen


@pytest.mark.parametrize("strict", [True, False])
def test_a_sample_s_own_label_changes_nothing_it_is_shown(world, samples, strict):
    knowledge, items = world.examples(samples), world.knowledge(samples)
    rule = ExampleRule(4, strict)
    shown = chosen(knowledge, items, samples, rule)

    for row in [*range(0, len(samples.item), 37), *find_examples(knowledge, samples).sample[::9]]:
        label, rating = samples.label.copy(), samples.rating.copy()
        label[row], rating[row] = 1 - label[row], 6 - rating[row]
        again = chosen(knowledge, items, replace(samples, label=label, rating=rating), rule)
        assert again[row].tolist() == shown[row].tolist()


def test_each_row_of_knowledge_is_its_training_event_by_user_item_and_time(world):
    # User 0 rates item 1 twice, at seconds 1 and 4; a stranger, an unknown item and an unknown time are no events.
    samples = world.bare([0, 1, 0], [1, 1, 1], [1, 2, 4])
    names = [event_id("0", "1"), event_id("9", "1"), event_id("0", "1"), event_id("1", "7"), event_id("1", "1")]
    seconds = np.array([4, 1, 1, 2, 3], dtype="datetime64[s]").astype("datetime64[us]")
    knowledge = Knowledge("cot_examples", "dense", "event", np.array(names), seconds, np.zeros((5, 2), np.float32))

    found = find_examples(knowledge, samples)

    assert found.sample.tolist() == [2, 0]
    assert found.row.tolist() == [0, 2]


def test_an_event_that_the_data_holds_twice_is_one_example(world):
    samples = world.bare([0, 0], [1, 1], [3, 3])

    assert find_examples(world.events_known(samples, [1]), samples).sample.tolist() == [0]


@pytest.mark.parametrize("part", [1, 2])
def test_examples_that_are_not_for_training_are_refused_with_their_number_and_the_command(world, part):
    samples = world.bare([0, 0, 1], [0, 1, 1], [1, 2, 3], part=np.array([0, part, part], dtype=np.int8))

    with pytest.raises(WrongUse) as caught:
        find_examples(world.events_known(samples, [0, 1, 2]), samples)

    assert str(caught.value).splitlines() == [
        "cot_examples: 2 of 3 examples are events that the split keeps for validation or test, "
        "such as user 0, item 1, 1970-01-01T00:00:02.000000",
        "  make the examples again under this split: knowflow refresh --task cot_examples",
    ]


def test_no_knowledge_is_no_example(world, samples):
    assert find_examples(world.events_known(samples, []), samples).sample.tolist() == []
    assert isinstance(situations(world.knowledge(samples), samples), Situations)


def test_what_test_rows_are_shown_is_noted_as_plain_json_the_nearest_of_each_label_first(world):
    # Samples 0 to 2 train and are the examples; 3 to 9 are test rows, of which the 1st, 3rd and 5th sevenths' middles.
    samples = world.bare(
        [0] * 10,
        [0, 1, 2] * 3 + [0],
        list(range(10)),
        part=np.int8([0] * 3 + [2] * 7),
        label=np.float32([1, 0, 1] + [0] * 6 + [1]),
    )
    shown = np.full((10, 4), -1)
    shown[4:9] = [-1, 1, 0, 2]  # the nearest last: a disliked one is the farthest
    similarity = np.tile(np.float32([0, 0.25, 0.5, 0.75]), (10, 1))
    rows = ExampleRows(np.arange(3), np.arange(3))

    noted = shown_to_test("cot_examples", Retrieved(shown, similarity), rows, samples)

    assert json.loads(json.dumps(noted)) == noted
    assert noted["task"] == "cot_examples"
    assert len(noted["samples"]) == REPORTED
    # By hand: places 7 / 6, 21 / 6 and 35 / 6 of the seven test rows, cut to 1, 3 and 5: samples 4, 6 and 8.
    assert [one["time"] for one in noted["samples"]] == [
        f"1970-01-01T00:00:0{second}.000000+00:00" for second in (4, 6, 8)
    ]
    first = noted["samples"][0]
    assert (first["user"], first["item"], first["label"], first["lacking"]) == ("0", "1", 0, 1)
    assert [(one["item"], one["label"], one["similarity"]) for one in first["examples"]] == [
        ("2", 1, 0.75),
        ("0", 1, 0.5),
        ("1", 0, 0.25),
    ]
    assert first["examples"][0]["time"] == "1970-01-01T00:00:02.000000+00:00"


def test_without_test_rows_nothing_is_noted(world):
    samples = world.bare([0], [0], [1])
    nothing = Retrieved(np.full((1, 4), -1), np.zeros((1, 4), dtype=np.float32))

    assert shown_to_test("t", nothing, ExampleRows(np.zeros(0, int), np.zeros(0, int)), samples)["samples"] == []
