"""PRO: preference ranking optimisation, a loss that ranks several answers to one question.

Paper:      Song et al. 2023, "Preference Ranking Optimization for Human Alignment" (arXiv 2306.17492), as used by
            Peng et al. 2024, "Large Language Model based Long-tail Query Rewriting in Taobao Search" (BEQUE, arXiv
            2311.03758), section 3.4.
Idea:       the best answer should be likelier than all others, the second likelier than all that follow, and so on; a
            pair counts the more the farther apart its rewards are.
Formula:    r sorted, highest first; d_ki = r_k - r_i for i > k; d_kk = max_{i>k} d_ki;
            loss = sum_{k<n} [ logsumexp(s_k d_kk, {s_i d_ki}_{i>k}) - s_k d_kk ]
Ties:       a pair of equal rewards keeps its term: d_ki = 0, exp(0) = 1. Where all rewards are equal every term is the
            log of how many answers it compares: the loss is log(n!) whatever the scores, and teaches nothing. Among
            equals the formula hangs on their order: r = (1, 1, 0), s = (-1, -2, -3) gives 1.6623, and 2.2968 with the
            first two exchanged. Equals are ordered by score, the highest first, which is the least of these losses: so
            the order in which answers are given never matters, and scores that cross each other make no jump.
Inputs:     scores s [B, n], mean log-probability of a token of each answer; rewards r [B, n]; mask [B, n].
Relations:  for two answers it is the logistic loss of pairwise.py, scaled by the gap; with all gaps one it is
            Plackett-Luce. Unlike both it is not invariant to a shift of all scores, for each s_i is multiplied by
            another gap: the tuning logs how far scores move (`preference.py`).
"""

import torch
from torch import Tensor


def pro_loss(scores: Tensor, rewards: Tensor, mask: Tensor) -> Tensor:
    """Loss of each query's answers, in at least 32 bits; the order in which answers are given does not matter.

    Args:
        scores: [B, n] mean log-probability of a token, of any floating type.
        rewards: [B, n], higher is better; what is masked may hold anything.
        mask: [B, n] bool: whether there is an answer.

    Returns:
        [B]: log(m!) without a gradient where all m answers have one reward, so 0 where there is one answer or none.

    Example:
        >>> loss = pro_loss(torch.tensor([[0.0, 1.0]]), torch.tensor([[1.0, 0.0]]), torch.ones(1, 2, dtype=torch.bool))
        >>> round(float(loss[0]), 4)  # log(1 + e)
        1.3133
    """
    scores, rewards, mask = _sorted(scores, rewards, mask)
    rewards = rewards.masked_fill(~mask, 0.0)
    gap = rewards.unsqueeze(2) - rewards.unsqueeze(1)  # [B, n, n] d_ki
    return ranking_loss(scores, gap, (mask.unsqueeze(2) & mask.unsqueeze(1)).triu(1))


def ranking_loss(scores: Tensor, gap: Tensor, compared: Tensor) -> Tensor:
    """The formula for given gaps.

    Args:
        scores: [B, n], best answer first.
        gap: [B, n, n] d_ki, at least 0 where answers are compared.
        compared: [B, n, n] bool: whether answer k is compared with answer i: i follows k, and both are there.

    Returns:
        [B].
    """
    nothing = torch.finfo(scores.dtype).min
    own = scores * gap.masked_fill(~compared, 0.0).amax(dim=2)  # [B, n] s_k d_kk
    others = (scores.unsqueeze(1) * gap).masked_fill(~compared, nothing)  # [B, n, n] s_i d_ki
    # The last answer has others = nothing and own = 0, so that its term is log(1) = 0, without a branch.
    return (torch.logsumexp(torch.cat([own.unsqueeze(2), others], dim=2), dim=2) - own).sum(dim=1)


def _sorted(scores: Tensor, rewards: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """By reward, highest first, equal ones by score, missing ones last."""
    scores = scores.to(torch.promote_types(scores.dtype, torch.float32)).masked_fill(~mask, 0.0)
    rewards = rewards.to(scores.dtype)
    first = scores.detach().argsort(dim=1, descending=True, stable=True)
    ranked = rewards.masked_fill(~mask, -torch.inf).gather(1, first).argsort(dim=1, descending=True, stable=True)
    order = first.gather(1, ranked)
    return scores.gather(1, order), rewards.gather(1, order), mask.gather(1, order)
