"""The contrastive loss against a loop in float64, and what must hold of it."""

import math

import numpy as np
import pytest
import torch

from tuning.losses import contrastive_loss, joint_loss


def loop(vectors, ids, tau, known=None, log_share=None) -> float:
    """The formula, term by term."""
    vectors = [np.asarray(row, dtype=np.float64) / np.linalg.norm(np.asarray(row, dtype=np.float64)) for row in vectors]
    count, total = len(vectors) // 2, 0.0
    share = np.zeros(2 * count) if log_share is None else np.asarray(log_share, dtype=np.float64)
    for i in range(2 * count):
        partner = i + count if i < count else i - count
        below = 0.0
        for j in range(2 * count):
            copy = j == i or ids[j] == ids[i] or ids[j] == ids[partner] or (known is not None and known[i][j])
            if j == partner or not copy:
                below += math.exp(float(vectors[i] @ vectors[j]) * math.exp(tau) - share[j])
        above = float(vectors[i] @ vectors[partner]) * math.exp(tau) - share[partner]
        total -= above - math.log(below)
    return total / (2 * count)


@pytest.mark.parametrize("ids", [[0, 1, 2, 3, 4, 5, 6, 7], [0, 1, 2, 0, 4, 4, 2, 7], [0, 0, 0, 0, 1, 1, 1, 1]])
@pytest.mark.parametrize("tau", [0.0, 3.0])
def test_the_loss_is_the_formula(ids, tau):
    chance = np.random.default_rng(0)
    vectors, share = chance.normal(size=(8, 5)), chance.normal(size=8)
    known = chance.random((8, 8)) < 0.2
    given = torch.tensor(vectors), torch.tensor(ids), torch.tensor(tau)

    assert float(contrastive_loss(*given)) == pytest.approx(loop(vectors, ids, tau), rel=1e-5, abs=1e-6)
    assert float(
        contrastive_loss(*given, known=torch.tensor(known), log_share=torch.tensor(share, dtype=torch.float32))
    ) == pytest.approx(loop(vectors, ids, tau, known, share), rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("pairs", [1, 2, 64])
def test_collapsed_vectors_give_ln_of_the_number_of_choices(pairs):
    loss = contrastive_loss(torch.ones(2 * pairs, 3), torch.arange(2 * pairs), torch.tensor(3.0))

    assert float(loss) == pytest.approx(math.log(2 * pairs - 1), abs=1e-6)


def test_a_note_that_is_drawn_twice_is_no_negative():
    chance = torch.Generator().manual_seed(0)
    vectors = torch.randn(6, 4, generator=chance)
    vectors[1] = vectors[0]  # the pairs (a, b), (a, c), (d, e)
    ids = torch.tensor([0, 0, 3, 1, 2, 4])

    masked = contrastive_loss(vectors, ids, torch.tensor(1.0))
    unmasked = contrastive_loss(vectors, torch.arange(6), torch.tensor(1.0))

    assert float(masked) == pytest.approx(loop(vectors.numpy(), ids.tolist(), 1.0), rel=1e-5)
    assert float(masked) < float(unmasked)


def test_gradients_reach_the_vectors_and_the_temperature():
    chance = torch.Generator().manual_seed(0)
    vectors = torch.randn(8, 4, generator=chance, dtype=torch.float64, requires_grad=True)
    tau = torch.tensor(1.0, requires_grad=True)

    contrastive_loss(vectors, torch.arange(8), tau).backward()

    step = 1e-6
    shown = vectors.detach().numpy()
    ids = list(range(8))
    by_tau = (loop(shown, ids, 1.0 + step) - loop(shown, ids, 1.0 - step)) / (2 * step)
    moved, back = shown.copy(), shown.copy()
    moved[2, 1] += step
    back[2, 1] -= step
    by_vector = (loop(moved, ids, 1.0) - loop(back, ids, 1.0)) / (2 * step)
    assert tau.grad is not None
    assert vectors.grad is not None
    assert float(tau.grad) == pytest.approx(by_tau, rel=1e-4)
    assert float(vectors.grad[2, 1]) == pytest.approx(by_vector, rel=1e-4)


def test_without_a_weight_or_anything_generated_the_contrastive_loss_is_left_alone():
    one, other = torch.tensor(2.0), torch.tensor(8.0)

    assert joint_loss(one, other, 0.0) is one
    assert joint_loss(one, None, 0.5) is one
    assert float(joint_loss(one, other, 0.5)) == pytest.approx((2 + 0.5 * 8) / 1.5)
