"""Batches and fields: what a model reads of a sample, gathered by index; the history pooled as a loop would."""

import numpy as np
import pytest
import torch

from ctr.batch import Batches
from ctr.views import Examples, View


@pytest.fixture
def three(world):
    """User 0 rates items 0, 1 and 2 with 2, 5 and 3, one after the other."""
    return world.bare(
        [0, 0, 0],
        [0, 1, 2],
        [1, 2, 3],
        [[-1, -1], [-1, 0], [0, 1]],
        rating=np.float32([2, 5, 3]),
        statistics=np.float32([[1], [2], [3]]),
        item_numbers=np.float32([[10], [20], [30]]),
        item_categories=np.float32([[1, 0], [0, 1], [0.5, 0.5]]),
    )


def test_a_batch_holds_what_was_worked_out_by_hand(three):
    batch = Batches(three, {}).take(torch.tensor([2, 0]))

    assert batch.user.tolist() == [0, 0]
    assert batch.item.tolist() == [2, 0]
    assert batch.categories.tolist() == [[0.5, 0.5], [1, 0]]
    assert batch.dense.tolist() == [[3, 30], [1, 10]]
    assert batch.history.tolist() == [[0, 1], [0, 0]]
    assert batch.history_mask.tolist() == [[1, 1], [0, 0]]
    # ratings 2 and 5, minus their mean 3.5; nothing where there is no event
    assert batch.history_rating.tolist() == [[-1.5, 1.5], [0, 0]]
    assert batch.history.dtype == torch.int64


def test_a_view_gives_vectors_where_something_is_known_and_zeros_where_not(three):
    table = np.float32([[1, 2], [3, 4]])
    views = {"a": {"one": View(table, np.array([1, -1, 0])), "past": View(table, np.array([[0, -1]] * 3))}}

    found = Batches(three, views).take(torch.tensor([0, 1])).views["a"]

    vectors, known = found["one"]
    assert vectors.tolist() == [[3, 4], [0, 0]]
    assert known.tolist() == [True, False]
    vectors, known = found["past"]
    assert vectors.tolist() == [[[1, 2], [0, 0]]] * 2
    assert known.tolist() == [[True, False]] * 2


def test_a_view_of_an_empty_table_gives_zeros(three):
    empty = View(np.zeros((0, 2), dtype=np.float32), np.full(3, -1))

    vectors, known = Batches(three, {"a": {"one": empty}}).take(torch.tensor([0, 1])).views["a"]["one"]

    assert vectors.tolist() == [[0, 0], [0, 0]]
    assert not known.any()


def test_an_example_is_gathered_once_however_many_samples_are_shown_it(three):
    # A pool of samples 2, 0 and 1; sample 0 is shown none and the first, 1 the last twice, 2 the last and the first.
    examples = Examples(
        sample=np.array([2, 0, 1]),
        label=np.array([1, 0, 1]),
        vectors=np.float32([[1, 2], [3, 4], [5, 6]]),
        chosen=np.array([[-1, 0], [2, 2], [2, 0]]),
        facts={},
    )

    batch = Batches(three, {"a": examples, "b": {}}).take(torch.tensor([2, 0]))

    shown = batch.shown["a"]
    assert list(batch.views) == ["b"]
    assert shown.samples.item.tolist() == [2, 1]  # pool places 0 and 2, the samples 2 and 1
    assert shown.samples.history.tolist() == [[0, 1], [0, 0]]
    assert shown.samples.history_rating.tolist() == [[-1.5, 1.5], [0, 0]]
    assert shown.samples.dense.tolist() == [[3, 30], [2, 20]]
    assert shown.samples.shown == shown.samples.views == {}
    assert shown.label.tolist() == [1, 1]
    assert shown.vectors.tolist() == [[1, 2], [5, 6]]
    assert shown.chosen.tolist() == [[1, 0], [-1, 0]]


def test_samples_that_are_all_shown_nothing_gather_no_example(three):
    none = Examples(np.array([1]), np.array([1]), np.ones((1, 2), np.float32), np.full((3, 2), -1), {})

    shown = Batches(three, {"a": none}).take(torch.tensor([0, 1])).shown["a"]

    assert shown.samples.item.tolist() == shown.label.tolist() == shown.vectors.tolist() == []
    assert shown.chosen.tolist() == [[-1, -1], [-1, -1]]


def test_the_history_is_pooled_with_weights_that_fall_with_age(world, samples):
    torch.manual_seed(0)
    fields, rows = world.fields(samples), torch.arange(300, 340)
    batch = Batches(samples, {}).take(rows)

    states = fields(batch)

    table = fields.item.weight.detach().double().numpy()
    length = samples.history.shape[1]
    for place, row in enumerate(rows.tolist()):
        past = [(age, event) for age, event in enumerate(samples.history[row][::-1]) if event >= 0]
        mean = np.mean([samples.rating[event] for _, event in past]) if past else 0
        for pool, wanted in enumerate((lambda r, m: True, lambda r, m: r > m, lambda r, m: r <= m)):
            chosen = [(np.exp(-age / 10), event) for age, event in past if wanted(samples.rating[event], mean)]
            total = sum(weight for weight, _ in chosen)
            expected = sum((weight / total * table[samples.item[event]] for weight, event in chosen), np.zeros(4))
            np.testing.assert_allclose(states.fields[place, 3 + pool].detach().numpy(), expected, atol=1e-6)
    assert states.fields.shape == (40, fields.count, 4)
    assert fields.recency.shape == (length,)
    torch.testing.assert_close(states.fields[:, 1], states.target)


def test_fields_without_categories_are_zero_there(world):
    samples = world.bare([0], [0], [1])

    states = world.fields(samples)(Batches(samples, {}).take(torch.tensor([0])))

    assert states.fields[0, 2].tolist() == [0] * 4
