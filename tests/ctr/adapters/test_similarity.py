"""Similarity: five numbers per sample, equal to a loop over the history in NumPy."""

import math

import numpy as np
import pytest
import torch

from ctr.adapters import similarity
from ctr.adapters.similarity import history_similarity, prepare
from feature_store.vectors import Knowledge


def naive(target, history, rating, surprise, liked, mask):
    """One sample, by the words of the docstring."""
    seen = [h for h in range(len(mask)) if mask[h]]
    if not seen:
        return [0.0] * 5
    cosine = {h: sum(float(a) * float(b) for a, b in zip(target, history[h], strict=True)) for h in seen}
    weight = {h: math.exp((cosine[h] - max(cosine.values())) / 0.1) for h in seen}
    total = sum(weight.values())
    likes, dislikes = ([cosine[h] for h in seen if liked[h] == label] for label in (1, 0))
    return [
        sum(weight[h] * float(rating[h]) for h in seen) / total,
        sum(weight[h] * float(surprise[h]) for h in seen) / total,
        max(cosine.values()),
        sum(likes) / max(len(likes), 1),
        sum(dislikes) / max(len(dislikes), 1),
    ]


def unit(values):
    return values / np.linalg.norm(values, axis=-1, keepdims=True)


def test_the_five_numbers_equal_a_loop_over_the_history():
    random = np.random.default_rng(0)
    target, history = unit(random.normal(size=(40, 6))), unit(random.normal(size=(40, 7, 6)))
    rating, surprise = random.normal(size=(2, 40, 7))
    liked, mask = random.integers(0, 2, size=(40, 7)).astype(float), random.random((40, 7)) < 0.5
    mask[0], mask[1] = False, True

    found = history_similarity(*(torch.from_numpy(a) for a in (target, history, rating, surprise, liked, mask)))

    expected = [naive(*sample) for sample in zip(target, history, rating, surprise, liked, mask, strict=True)]
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-9)
    assert found[0].tolist() == [0] * 5


def test_a_case_worked_out_by_hand():
    # Cosines 0.6 and 0 with an event of rating +1 (liked) and of -1 (not); the third has no vector.
    target = torch.tensor([[1.0, 0.0]])
    history = torch.tensor([[[0.6, 0.8], [0.0, 1.0], [1.0, 0.0]]])
    rating, surprise = torch.tensor([[1.0, -1.0, 9.0]]), torch.tensor([[0.5, 0.0, 9.0]])

    found = history_similarity(
        target, history, rating, surprise, torch.tensor([[1.0, 0, 1]]), torch.tensor([[1, 1, 0]])
    )

    p = math.exp(6) / (math.exp(6) + 1)  # softmax of 6 and 0
    assert found[0].tolist() == pytest.approx([p - (1 - p), 0.5 * p, 0.6, 0.6, 0.0], abs=1e-6)


def test_a_negative_best_match_is_not_taken_for_the_mask():
    found = history_similarity(
        torch.tensor([[1.0]]), torch.tensor([[[-1.0], [-1.0]]]), *torch.zeros(3, 1, 2), torch.tensor([[1, 0]])
    )

    assert found[0, 2].item() == -1


@pytest.fixture
def world_of_four(world):
    """User 0 rates items 0, 1, 2, 0 (liked, not, liked, liked); nothing is known about item 1."""
    samples = world.bare(
        [0, 0, 0, 0],
        [0, 1, 2, 0],
        [1, 2, 3, 4],
        [[-1, -1, -1], [-1, -1, 0], [-1, 0, 1], [0, 1, 2]],
        rating=np.float32([4, 1, 5, 5]),
        label=np.float32([1, 0, 1, 1]),
        user_mean=np.float32([3, 3.5, 3, 3.2]),
        surprise=np.float32([0.5, -1, 1, 2]),
    )
    vectors = np.float32([[1, 0], [3, 4]])  # cosine 0.6; not of length one, so that it must be made so
    return samples, Knowledge("t", "e", "item", np.array(["0", "2"]), np.zeros(2, dtype="datetime64[us]"), vectors)


def test_features_of_a_log_equal_the_loop_and_are_missing_where_nothing_is_known(world_of_four):
    samples, knowledge = world_of_four

    view = prepare([knowledge], samples, 2)["t/e"]

    # Row 0 has no history; row 1 asks about an unknown item; row 2 (item 2) knows item 0; row 3 (item 0) items 0 and 2.
    assert view.rows.tolist() == [-1, -1, 2, 3]
    third = [4 - 3, 0.5, 0.6, 0.6, 0]
    vectors, mask = np.array([[1, 0], [0, 0], [0.6, 0.8]]), [True, False, True]
    ratings = np.array([4, 1, 5]) - 3.2
    fourth = naive([1, 0], vectors, ratings, [0.5, -1, 1], [1, 0, 1], mask)
    np.testing.assert_allclose(view.table[2], third, atol=1e-5)  # nothing earlier to scale by
    np.testing.assert_allclose(view.table[3], np.subtract(fourth, third), atol=1e-5)  # one row: a mean, no deviation


def test_features_of_a_whole_log_equal_the_loop_standardised_by_earlier_rows(world, samples):
    knowledge = world.knowledge(samples)

    view = prepare([knowledge], samples, 3)["kar_item/dense"]

    raw = np.zeros((len(samples.item), 5))
    for row in range(len(samples.item)):
        rows = {}  # what is known at the sample's time: item -> its newest text
        for m in np.argsort(knowledge.as_of, kind="stable"):
            if knowledge.as_of[m] < samples.time[row]:
                rows[knowledge.entities[m]] = knowledge.vectors[m]
        target, events = rows.get(samples.item_ids[samples.item[row]]), samples.history[row]
        past = [rows.get(samples.item_ids[samples.item[event]]) if event >= 0 else None for event in events]
        mask = [vector is not None for vector in past]
        assert (view.rows[row] >= 0) == (target is not None and any(mask))
        if view.rows[row] >= 0:
            columns = (samples.rating[events] - samples.user_mean[row], samples.surprise[events], samples.label[events])
            raw[row] = naive(target, past, *columns, mask)
    seen = view.rows >= 0
    for row in np.flatnonzero(seen)[::9]:
        past = raw[seen & (samples.time < samples.time[row])]
        mean, deviation = (past.mean(0), past.std(0)) if len(past) else (0, np.zeros(5))
        expected = np.clip((raw[row] - mean) / np.where(deviation > 1e-6, deviation, 1), -5, 5)
        np.testing.assert_allclose(view.table[row], expected, atol=1e-3)


def test_features_do_not_depend_on_the_size_of_a_chunk(world, samples, monkeypatch):
    knowledge = world.knowledge(samples)
    whole = prepare([knowledge], samples, 3)["kar_item/dense"]

    monkeypatch.setattr(similarity, "CHUNK", 7)
    cut = prepare([knowledge], samples, 3)["kar_item/dense"]

    assert 0.2 < whole.coverage < 0.8
    np.testing.assert_array_equal(cut.rows, whole.rows)
    np.testing.assert_allclose(cut.table, whole.table, atol=1e-5)


def test_vectors_known_only_later_give_no_features(world, samples):
    knowledge = world.knowledge(samples)
    late = Knowledge(
        "t", "e", "item", knowledge.entities, np.full(len(knowledge.as_of), samples.time.max()), knowledge.vectors
    )

    assert prepare([late], samples, 3)["t/e"].coverage == 0
