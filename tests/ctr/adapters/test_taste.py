"""Taste: each user's own ridge regression over strictly earlier events, equal to solving it anew for every sample."""

from dataclasses import replace

import numpy as np
import pytest

from ctr.adapters import taste
from ctr.adapters.taste import PENALTY, components, prepare, residuals, tastes
from ctr.statistics import SHRINK


@pytest.fixture
def knowledge(world, samples):
    return [world.knowledge(samples, encoder=encoder) for encoder in ("dense", "lexical")]


def by_solving(vectors, known, target, samples):
    """The formula: (X'X + 20 I)^-1 X'y over the user's strictly earlier samples, solved from nothing each time."""
    out = np.zeros(len(known))
    for row in range(len(known)):
        past = known & (samples.user == samples.user[row]) & (samples.time < samples.time[row])
        x, y = vectors[past].astype(np.float64), target[past]
        out[row] = vectors[row] @ np.linalg.solve(x.T @ x + PENALTY * np.eye(x.shape[1]), x.T @ y)
    return np.where(known, out, 0)


def test_every_sample_equals_the_regression_solved_anew(samples):
    random = np.random.default_rng(0)
    vectors = random.normal(size=(len(samples.item), 5)).astype(np.float32)
    known, target = random.random(len(vectors)) < 0.8, random.normal(size=len(vectors))

    found, _ = tastes(vectors, known, target, samples)

    np.testing.assert_allclose(found, by_solving(vectors, known, target, samples), atol=1e-4)
    assert (found != 0).mean() > 0.5


def test_a_case_worked_out_by_hand(world):
    # Item vectors 1 and 2 with residuals 0.5 and 1.0, then asked about 3: w = (1 * 0.5 + 2 * 1) / (1 + 4 + 20) = 0.1.
    samples = world.bare([0, 0, 0, 1], [0, 1, 2, 2], [1, 2, 3, 3])

    found, _ = tastes(np.float32([[1], [2], [3], [3]]), np.full(4, True), np.array([0.5, 1.0, 9, 9]), samples)

    assert found.tolist() == pytest.approx([0, 2 * 0.5 / 21, 0.3, 0], abs=1e-6)


def test_events_of_one_moment_do_not_see_each_other_and_are_all_seen_later(world):
    samples = world.bare([0, 0, 0], [0, 1, 2], [1, 1, 2])

    found, _ = tastes(np.float32([[1], [2], [3]]), np.full(3, True), np.array([0.5, 1.0, 9]), samples)

    assert found.tolist() == pytest.approx([0, 0, 0.3], abs=1e-6)


def test_the_residual_is_the_surprise_minus_the_user_s_shrunk_mean_before(world):
    samples = world.bare([0, 0, 0, 1], [0, 1, 2, 0], [1, 2, 2, 3], surprise=np.float32([1, 2, 3, 4]))

    assert residuals(samples).tolist() == pytest.approx([1, 2 - 1 / (1 + SHRINK), 3 - 1 / (1 + SHRINK), 4])


@pytest.mark.parametrize("share", [0.3, 0.7])
def test_nothing_at_or_after_a_sample_s_time_changes_its_taste(world, samples, knowledge, share):
    cut = np.sort(samples.time)[int(len(samples.time) * share)]
    later = samples.time >= cut
    changed = replace(samples, surprise=np.where(later, samples.surprise - 7, samples.surprise).astype(np.float32))

    before, after = (prepare(knowledge, one, 3)["taste"] for one in (samples, changed))

    unseen = samples.time <= cut
    np.testing.assert_array_equal(after.rows, before.rows)
    np.testing.assert_array_equal(after.table[unseen], before.table[unseen])
    assert (after.table[~unseen] != before.table[~unseen]).any()


def test_knowledge_that_is_not_older_than_a_sample_says_nothing_of_it(samples, knowledge):
    late = [replace(one, as_of=np.full(len(one.as_of), samples.time.max())) for one in knowledge]

    assert prepare(late, samples, 3)["taste"].coverage == 0
    assert prepare(knowledge, samples, 3)["taste"].coverage > 0.3


def test_vectors_that_are_not_known_yet_change_no_taste(samples, knowledge):
    middle = np.sort(samples.time)[len(samples.time) // 2]
    dated = [
        replace(one, as_of=np.where(np.arange(len(one.as_of)) % 2 == 0, one.as_of.min(), middle)) for one in knowledge
    ]
    changed = [
        replace(one, vectors=np.where((one.as_of >= middle)[:, None], -3 * one.vectors, one.vectors)) for one in dated
    ]

    before, after = (prepare(one, samples, 3)["taste"] for one in (dated, changed))

    unseen = samples.time <= middle
    assert (before.rows[unseen] >= 0).any()
    np.testing.assert_array_equal(after.table[unseen], before.table[unseen])
    assert (after.table[~unseen] != before.table[~unseen]).any()


def test_components_keep_what_differs_and_are_fitted_on_known_items_alone():
    random = np.random.default_rng(1)
    vectors = random.normal(size=(30, 3)) @ random.normal(size=(3, 8))  # three directions of eight
    vectors = np.concatenate([vectors, 100 * np.ones((1, 8))]).astype(np.float32)
    fitted = np.arange(31) < 30

    found = components(vectors, fitted)

    assert np.square(found[:30]).sum(axis=1).mean() == pytest.approx(1, abs=1e-4)
    centred = vectors[:30] - vectors[:30].mean(axis=0)
    distance = np.linalg.norm(centred[:, None] - centred[None], axis=2)
    kept = np.linalg.norm(found[:30, None] - found[None, :30], axis=2)
    ratio = kept[distance > 0] / distance[distance > 0]
    assert ratio.std() / ratio.mean() < 1e-3  # distances stay, up to one scale
    assert components(vectors, np.zeros(31, dtype=bool)).shape == (31, 0)


def test_tastes_do_not_depend_on_the_number_of_users_at_a_time(samples, knowledge, monkeypatch):
    whole = prepare(knowledge, samples, 3)["taste"]

    monkeypatch.setattr(taste, "USERS", 3)

    np.testing.assert_allclose(prepare(knowledge, samples, 3)["taste"].table, whole.table, atol=1e-3)
