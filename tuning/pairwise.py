"""The pairwise logistic loss: the control arm of PRO.

Paper:      Burges et al. 2005, "Learning to Rank using Gradient Descent" (RankNet); without its reference model the
            loss of DPO is the same (Rafailov et al. 2023, arXiv 2305.18290).
Idea:       in every pair the better answer should be likelier; how much better does not matter.
Formula:    loss = mean over pairs with r_k > r_i of log(1 + exp(-scale (s_k - s_i)))
Relations:  PRO weighs pairs by the gap between rewards and compares one answer with all worse ones at once. An
            arm that PRO must be held against: on toy data this simpler loss ranked as well.
"""

import torch
from torch import Tensor, nn

TIED = 1e-6
"""Rewards that lie no farther apart count as equal: neither of the two is the better answer."""


def pairwise_loss(scores: Tensor, rewards: Tensor, mask: Tensor, scale: float = 1.0) -> Tensor:
    """Loss of each query's answers, in at least 32 bits.

    Args:
        scores: [B, n] mean log-probability of a token, of any floating type.
        rewards: [B, n], higher is better; what is masked may hold anything.
        mask: [B, n] bool: whether there is an answer.
        scale: How much a difference of scores counts.

    Returns:
        [B]: zero where no two answers have different rewards.

    Example:
        >>> loss = pairwise_loss(torch.tensor([[0.0, 1.0]]), torch.tensor([[9.0, 0.0]]), torch.ones(1, 2).bool())
        >>> round(float(loss[0]), 4)  # log(1 + e), however far apart the rewards are
        1.3133
    """
    scores = scores.to(torch.promote_types(scores.dtype, torch.float32)).masked_fill(~mask, 0.0)
    rewards = rewards.masked_fill(~mask, 0.0)
    gap = rewards.unsqueeze(2) - rewards.unsqueeze(1)  # [B, n, n]
    better = (gap > TIED) & mask.unsqueeze(2) & mask.unsqueeze(1)
    losses = nn.functional.softplus(-scale * (scores.unsqueeze(2) - scores.unsqueeze(1)))
    return losses.masked_fill(~better, 0.0).sum(dim=(1, 2)) / better.sum(dim=(1, 2)).clamp(min=1)
