"""PRO: preference ranking optimisation, a loss that ranks several answers to one question.

Paper:      Song et al. 2023, "Preference Ranking Optimization for Human Alignment" (arXiv 2306.17492), as used by
            Peng et al. 2024, "Large Language Model based Long-tail Query Rewriting in Taobao Search" (BEQUE, arXiv
            2311.03758), section 3.4.
Idea:       the best answer should be likelier than all others, the second likelier than all that follow, and so on; a
            pair counts the more the farther apart its rewards are.
Formula:    r sorted, highest first; d_ki = r_k - r_i for i > k; d_kk = max_{i>k} d_ki;
            loss = sum_{k<n} [ logsumexp(s_k d_kk, {s_i d_ki}_{i>k}) - s_k d_kk ]
Inputs:     scores s [B, n], mean log-probability of a token of each answer; rewards r [B, n]; mask [B, n].
Relations:  for two answers it is the logistic loss of pairwise.py, scaled by the gap; with all gaps one it is
            Plackett-Luce. Unlike both it is not invariant to a shift of all scores, for each s_i is multiplied by
            another gap: the tuning logs how far scores move (`preference.py`).
"""

import torch
from torch import Tensor

TIED = 1e-6
"""Rewards that lie no farther apart count as equal: such a pair teaches nothing."""


def pro_loss(scores: Tensor, rewards: Tensor, mask: Tensor) -> Tensor:
    """Loss of each query's answers, in at least 32 bits; the order in which answers are given does not matter.

    Args:
        scores: [B, n] mean log-probability of a token, of any floating type.
        rewards: [B, n], higher is better; what is masked may hold anything.
        mask: [B, n] bool: whether there is an answer.

    Returns:
        [B]: zero where no two answers have different rewards.

    Example:
        >>> loss = pro_loss(torch.tensor([[0.0, 1.0]]), torch.tensor([[1.0, 0.0]]), torch.ones(1, 2, dtype=torch.bool))
        >>> round(float(loss[0]), 4)  # log(1 + e)
        1.3133
    """
    scores, rewards, mask = _sorted(scores, rewards, mask)
    return ranking_loss(scores, *gaps(rewards, mask))


def gaps(rewards: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """How much better each answer is than each other one.

    Args:
        rewards: [B, n].
        mask: [B, n] bool.

    Returns:
        [B, n, n] d_ki, and [B, n, n] bool: whether answer k is better than answer i, and both are there.
    """
    rewards = rewards.masked_fill(~mask, 0.0)
    found = rewards.unsqueeze(2) - rewards.unsqueeze(1)
    return found, (found > TIED) & mask.unsqueeze(2) & mask.unsqueeze(1)


def ranking_loss(scores: Tensor, gap: Tensor, better: Tensor) -> Tensor:
    """The formula for given gaps.

    Args:
        scores: [B, n].
        gap: [B, n, n] d_ki.
        better: [B, n, n] bool: pairs that count.

    Returns:
        [B].
    """
    nothing = torch.finfo(scores.dtype).min
    own = scores * gap.masked_fill(~better, 0.0).amax(dim=2)  # [B, n] s_k d_kk
    others = (scores.unsqueeze(1) * gap).masked_fill(~better, nothing)  # [B, n, n] s_i d_ki
    # An answer that beats no other has others = nothing and own = 0, so that its term is log(1) = 0, without a branch.
    return (torch.logsumexp(torch.cat([own.unsqueeze(2), others], dim=2), dim=2) - own).sum(dim=1)


def _sorted(scores: Tensor, rewards: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """By reward, highest first, equal ones by score, missing ones last: so that sums are made in one order."""
    scores = scores.to(torch.promote_types(scores.dtype, torch.float32)).masked_fill(~mask, 0.0)
    rewards = rewards.to(scores.dtype)
    first = scores.detach().argsort(dim=1, descending=True, stable=True)
    ranked = rewards.masked_fill(~mask, -torch.inf).gather(1, first).argsort(dim=1, descending=True, stable=True)
    order = first.gather(1, ranked)
    return scores.gather(1, order), rewards.gather(1, order), mask.gather(1, order)
