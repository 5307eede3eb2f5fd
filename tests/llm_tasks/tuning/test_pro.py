"""PRO and its pairwise control, against loops written from the formulas in float64."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_tasks.tuning.pairwise import pairwise_loss
from llm_tasks.tuning.pro import pro_loss, ranking_loss

TRUE = torch.tensor([[True, True]])


def everything(rewards: torch.Tensor) -> torch.Tensor:
    return torch.ones_like(rewards, dtype=torch.bool)


def by_loop(scores: list[float], rewards: list[float]) -> float:
    """PRO in float64, term by term."""
    ranked = sorted(zip(rewards, scores, strict=True), key=lambda pair: -pair[0])
    total = 0.0
    for k, (reward, score) in enumerate(ranked):
        worse = [(reward - other, s) for other, s in ranked[k + 1 :] if reward - other > 1e-6]
        if worse:
            terms = [score * max(gap for gap, _ in worse), *(s * gap for gap, s in worse)]
            highest = max(terms)
            total += highest + math.log(sum(math.exp(term - highest) for term in terms)) - terms[0]
    return total


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


@pytest.mark.parametrize("loss", [pro_loss, pairwise_loss])
def test_equal_rewards_teach_nothing(loss):
    scores = torch.tensor([[-1.0, 5.0, -3.0]], requires_grad=True)
    found = loss(scores, torch.tensor([[0.5, 0.5, 0.5 + 5e-7]]), torch.ones(1, 3).bool())

    found.sum().backward()

    assert float(found.detach()) == 0
    assert scores.grad is not None
    assert scores.grad.tolist() == [[0, 0, 0]]


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
share = st.floats(0, 1, width=32)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(finite, share), min_size=1, max_size=6))
def test_both_losses_are_those_of_a_loop_in_float64(rows):
    scores, rewards = [s for s, _ in rows], [r for _, r in rows]
    given_ = torch.tensor([scores], dtype=torch.float64), torch.tensor([rewards], dtype=torch.float64)

    for loss, expected in ((pro_loss, by_loop), (pairwise_loss, pairwise_by_loop)):
        found = float(loss(*given_, torch.ones(1, len(rows), dtype=torch.bool)))
        assert found == pytest.approx(expected(scores, rewards), abs=1e-9, rel=1e-9)
