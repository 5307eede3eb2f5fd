"""PRO and its pairwise control, against loops written from the formulas in float64."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tuning.losses import pairwise_loss, pro_loss, ranking_loss

TRUE = torch.tensor([[True, True]])


def everything(rewards: torch.Tensor) -> torch.Tensor:
    return torch.ones_like(rewards, dtype=torch.bool)


def formula(scores: list[float], rewards: list[float]) -> float:
    """PRO as it is written, in float64, for answers that stand in order:

    sum_{k<n} [ logsumexp(s_k d_kk, {s_i d_ki}_{i>k}) - s_k d_kk ],  d_ki = r_k - r_i,  d_kk = max_{i>k} d_ki
    """
    total = 0.0
    for k in range(len(scores) - 1):
        gap = {i: rewards[k] - rewards[i] for i in range(k + 1, len(scores))}
        own = scores[k] * max(gap.values())
        total += float(np.logaddexp.reduce([own, *(scores[i] * d for i, d in gap.items())])) - own
    return total


def least(scores: list[float], rewards: list[float]) -> float:
    """The least of the formula over all orders that go by reward, which differ in the order of equals alone."""
    orders = [
        order
        for order in itertools.permutations(range(len(scores)))
        if all(rewards[one] >= rewards[other] for one, other in itertools.pairwise(order))
    ]
    return min(formula([scores[i] for i in order], [rewards[i] for i in order]) for order in orders)


def pairwise_by_loop(scores: list[float], rewards: list[float]) -> float:
    pairs = [
        math.log1p(math.exp(-(s - t)))
        for s, r in zip(scores, rewards, strict=True)
        for t, q in zip(scores, rewards, strict=True)
        if r - q > 1e-6
    ]
    return sum(pairs) / max(1, len(pairs))


def test_two_answers_give_the_logistic_loss_of_gap_times_difference():
    scores, rewards = torch.tensor([[-1.3, -0.4]]), torch.tensor([[0.9, 0.2]])

    expected = -torch.nn.functional.logsigmoid((rewards[0, 0] - rewards[0, 1]) * (scores[0, 0] - scores[0, 1]))

    assert float(pro_loss(scores, rewards, TRUE)) == pytest.approx(float(expected), abs=1e-6)


def test_three_answers_give_what_was_worked_out_by_hand():
    # r = 1, 0.5, 0; s = -1, -2, -3.
    # k = 1: d = 0.5 and 1, so d_kk = 1:    log(e^-1 + e^(-2 * 0.5) + e^(-3 * 1)) + 1 = log(2 + e^-2) = 0.758625
    # k = 2: d = 0.5, so d_kk = 0.5:        log(e^-1 + e^-1.5) + 1 = log(1 + e^-0.5)   = 0.474077
    loss = pro_loss(torch.tensor([[-1.0, -2.0, -3.0]]), torch.tensor([[1.0, 0.5, 0.0]]), torch.ones(1, 3).bool())

    assert float(loss) == pytest.approx(math.log(2 + math.exp(-2)) + math.log(1 + math.exp(-0.5)), abs=1e-6)
    assert float(loss) == pytest.approx(1.232702, abs=1e-5)


@pytest.mark.parametrize(("loss", "expected"), [(pro_loss, math.log(6)), (pairwise_loss, 0)])
def test_equal_rewards_teach_nothing(loss, expected):
    # PRO: all d = 0, so that the terms are log(3), log(2) and log(1), whatever the scores.
    scores = torch.tensor([[-1.0, 5.0, -800.0]], requires_grad=True)
    found = loss(scores, torch.tensor([[0.5, 0.5, 0.5]]), torch.ones(1, 3).bool())

    found.sum().backward()

    assert float(found.detach()) == pytest.approx(expected, abs=1e-6)
    assert scores.grad is not None
    assert scores.grad.tolist() == [[0, 0, 0]]


def test_rewards_that_differ_by_rounding_alone_make_no_pair_for_the_control():
    scores, rewards = torch.tensor([[-1.0, 5.0, -3.0]]), torch.tensor([[0.5, 0.5, 0.5 + 5e-7]])

    assert float(pairwise_loss(scores, rewards, everything(rewards))) == 0


# k = 1: d = 0 and 1, so d_kk = 1:  log(e^-1 + e^0 + e^-3) + 1 = 1.349012
# k = 2: d = 1, so d_kk = 1:        log(e^-2 + e^-3) + 2       = 0.313262
PARTLY_TIED = 1.662274


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_a_tied_pair_keeps_its_term_in_any_order_of_the_answers(order):
    scores, rewards = [[-1.0, -2.0, -3.0][i] for i in order], [[1.0, 1.0, 0.0][i] for i in order]

    found = pro_loss(torch.tensor([scores]), torch.tensor([rewards]), torch.ones(1, 3).bool())

    assert float(found) == pytest.approx(PARTLY_TIED, abs=1e-5)
    assert formula([-1.0, -2.0, -3.0], [1.0, 1.0, 0.0]) == pytest.approx(PARTLY_TIED, abs=1e-6)
    assert formula([-2.0, -1.0, -3.0], [1.0, 1.0, 0.0]) == pytest.approx(2.296774, abs=1e-5)  # the other order


def test_nothing_jumps_where_a_gap_closes_or_where_scores_of_equals_cross():
    def loss(scores: list[float], rewards: list[float]) -> float:
        given_ = torch.tensor([scores], dtype=torch.float64), torch.tensor([rewards], dtype=torch.float64)
        return float(pro_loss(*given_, torch.ones(1, 3, dtype=torch.bool)))

    for gap in (2e-6, 1e-6, 1e-9, 0.0):
        assert loss([-1, -2, -3], [1, 1 - gap, 0]) == pytest.approx(PARTLY_TIED, abs=1e-5)
    before, after = (loss([-1, -1 + step, -3], [1, 1, 0]) for step in (-1e-7, 1e-7))
    assert before == pytest.approx(after, abs=1e-6)


@pytest.mark.parametrize("loss", [pro_loss, pairwise_loss])
def test_the_order_of_the_answers_does_not_matter_to_the_last_bit(loss):
    torch.manual_seed(0)
    scores, rewards = torch.randn(50, 5), torch.randint(0, 3, (50, 5)).float() / 2  # with ties
    order = torch.randperm(5)

    one, other = (
        loss(scores, rewards, everything(rewards)),
        loss(scores[:, order], rewards[:, order], TRUE.new_ones(50, 5)),
    )

    if loss is pro_loss:
        assert torch.equal(one, other)
    assert torch.allclose(one, other, atol=1e-6)


def test_the_gradient_pushes_the_better_answer_up_wherever_it_stands():
    for rewards in ([[1.0, 0.0]], [[0.0, 1.0]]):
        scores = torch.zeros(1, 2, requires_grad=True)
        pro_loss(scores, torch.tensor(rewards), TRUE).sum().backward()
        assert scores.grad is not None
        better = rewards[0].index(1.0)
        assert scores.grad[0, better] < 0 < scores.grad[0, 1 - better]


@pytest.mark.parametrize("loss", [pro_loss, pairwise_loss])
def test_scores_of_800_give_finite_losses_and_gradients(loss):
    scores = torch.tensor([[-800.0, 800.0, -800.0, 0.0]], requires_grad=True)
    found = loss(scores, torch.tensor([[1.0, 0.0, 0.6, 0.3]]), torch.ones(1, 4).bool())
    found.sum().backward()

    assert found.isfinite().all()
    assert scores.grad is not None
    assert scores.grad.isfinite().all()


def test_with_all_gaps_one_it_is_plackett_luce():
    torch.manual_seed(1)
    scores = torch.randn(4, 6)  # already in order
    better = torch.ones(6, 6).triu(1).bool().expand(4, 6, 6)

    expected = sum(torch.logsumexp(scores[:, k:], dim=1) - scores[:, k] for k in range(6))

    assert torch.allclose(ranking_loss(scores, torch.ones(4, 6, 6), better), expected, atol=1e-5)


@pytest.mark.parametrize("loss", [pro_loss, pairwise_loss])
def test_what_is_masked_never_counts_whatever_it_holds(loss):
    scores = torch.tensor([[-1.0, -2.0, 7.0, float("nan")]], requires_grad=True)
    rewards = torch.tensor([[1.0, 0.0, 9.0, float("nan")]])
    found = loss(scores, rewards, torch.tensor([[True, True, False, False]]))

    found.sum().backward()

    assert float(found) == pytest.approx(float(loss(scores[:, :2], rewards[:, :2], TRUE)), abs=1e-7)
    assert scores.grad is not None
    assert scores.grad[0, 2:].tolist() == [0, 0]


def test_scores_in_16_bits_are_reckoned_in_32():
    scores, rewards = torch.tensor([[-1.0, -2.0]], dtype=torch.bfloat16), torch.tensor([[1.0, 0.0]])

    assert pro_loss(scores, rewards, TRUE).dtype == pairwise_loss(scores, rewards, TRUE).dtype == torch.float32


finite = st.floats(-30, 0, allow_nan=False, width=32)
share = st.floats(0, 1, width=32) | st.sampled_from([0.0, 0.5, 1.0])  # with ties


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(finite, share), min_size=1, max_size=5))
def test_both_losses_are_those_of_a_loop_in_float64(rows):
    scores, rewards = [s for s, _ in rows], [r for _, r in rows]
    given_ = torch.tensor([scores], dtype=torch.float64), torch.tensor([rewards], dtype=torch.float64)

    for loss, expected in ((pro_loss, least), (pairwise_loss, pairwise_by_loop)):
        found = float(loss(*given_, torch.ones(1, len(rows), dtype=torch.bool)))
        assert found == pytest.approx(expected(scores, rewards), abs=1e-9, rel=1e-9)
