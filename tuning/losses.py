"""The losses: for answers, for ranked answers, and for pairs of notes.

completion_loss    cross-entropy of the learned tokens only: supervised tuning, and L_gen of NoteLLM.
pro_loss           PRO, preference ranking optimisation. Song et al. 2023 (arXiv 2306.17492), as used by Peng et al.
                   2024, "Large Language Model based Long-tail Query Rewriting in Taobao Search" (BEQUE, arXiv
                   2311.03758), section 3.4.
pairwise_loss      the control arm of PRO. Burges et al. 2005, "Learning to Rank using Gradient Descent" (RankNet);
                   DPO without its reference model has the same loss (Rafailov et al. 2023, arXiv 2305.18290).
contrastive_loss   pulls pairs of notes together and all others of the batch apart. Zhang et al. 2024, "NoteLLM",
                   sections 3.3 and 3.4, equations 2 to 4 (arXiv 2403.01744).
joint_loss         the weighted sum of both losses of NoteLLM.
Relations:         for two answers PRO is the pairwise loss scaled by the gap between the rewards; with all gaps 1 it is
                   Plackett-Luce. Unlike both it is not invariant to a shift of all scores, because each s_i is
                   multiplied by a different gap: the tuning logs how far scores move (`preference.py`). On toy data
                   the pairwise loss ranked as well, so PRO must be compared with it. contrastive_loss ranks notes
                   where PRO ranks answers.
"""

import torch
from torch import Tensor, nn

from tuning.config import TIED
from tuning.packing import NOT_LEARNT


def completion_loss(logits: Tensor, labels: Tensor, count: Tensor | int) -> Tensor:
    """Return the cross-entropy of the learned tokens, summed and divided by their number in the whole step.

        loss = - sum over learned tokens t of log softmax(logits before t)[t] / count

    So the gradients of two halves of a step add up to that of the whole, however many tokens each half learns.

    Args:
        logits: [B, K, V], at the positions given by `collate`.
        labels: [B, 1 + K], from `collate`.
        count: Number of learned tokens in the optimiser step.
    """
    flat = logits.float().flatten(0, 1)  # [B * K, V]
    return nn.functional.cross_entropy(flat, labels[:, 1:].flatten(), ignore_index=NOT_LEARNT, reduction="sum") / count


def answer_log_probability(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the joint log-probability of each row's learned tokens: [B, K, V], [B, 1 + K] -> [B]."""
    learnt = labels[:, 1:]  # [B, K]
    logs = torch.log_softmax(logits.float(), dim=-1)
    found = logs.gather(-1, learnt.clamp(min=0).unsqueeze(-1)).squeeze(-1)  # [B, K]
    return found.masked_fill(learnt == NOT_LEARNT, 0.0).sum(dim=-1)


def pro_loss(scores: Tensor, rewards: Tensor, mask: Tensor) -> Tensor:
    """Return the PRO loss: the best answer should be more likely than all others, the second than the rest, and so on.

    A pair counts more the further apart its rewards are:

        r sorted, highest first; d_ki = r_k - r_i for i > k; d_kk = max_{i>k} d_ki;
        loss = sum_{k<n} [ logsumexp(s_k d_kk, {s_i d_ki}_{i>k}) - s_k d_kk ]

    A pair with equal rewards keeps its term: d_ki = 0, exp(0) = 1. If all rewards are equal, every term is the log of
    the number of answers it compares: the loss is log(n!) whatever the scores, and teaches nothing. With ties the
    formula depends on the order: r = (1, 1, 0), s = (-1, -2, -3) gives 1.6623, and 2.2968 with the first two swapped.
    Ties are ordered by score, highest first, which gives the smallest of these losses: so the order of the given
    answers never matters, and the loss does not jump where scores cross. Computed in at least 32 bits.

    Args:
        scores: [B, n] mean log-probability of a token, of any floating type.
        rewards: [B, n], higher is better; masked values may be anything.
        mask: [B, n] bool: whether there is an answer.

    Returns:
        [B]: log(m!) without a gradient if all m answers have the same reward, so 0 with one answer or none.

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
    """Return the PRO loss for given gaps.

    Args:
        scores: [B, n], best answer first.
        gap: [B, n, n] d_ki, at least 0 where answers are compared.
        compared: [B, n, n] bool: whether answer k is compared with answer i: i follows k, and both exist.

    Returns:
        [B].
    """
    nothing = torch.finfo(scores.dtype).min
    own = scores * gap.masked_fill(~compared, 0.0).amax(dim=2)  # [B, n] s_k d_kk
    others = (scores.unsqueeze(1) * gap).masked_fill(~compared, nothing)  # [B, n, n] s_i d_ki
    # The last answer has others = nothing and own = 0, so that its term is log(1) = 0, without a branch.
    return (torch.logsumexp(torch.cat([own.unsqueeze(2), others], dim=2), dim=2) - own).sum(dim=1)


def _sorted(scores: Tensor, rewards: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Sort by reward, highest first, ties by score, missing ones last."""
    scores = scores.to(torch.promote_types(scores.dtype, torch.float32)).masked_fill(~mask, 0.0)
    rewards = rewards.to(scores.dtype)
    first = scores.detach().argsort(dim=1, descending=True, stable=True)
    ranked = rewards.masked_fill(~mask, -torch.inf).gather(1, first).argsort(dim=1, descending=True, stable=True)
    order = first.gather(1, ranked)
    return scores.gather(1, order), rewards.gather(1, order), mask.gather(1, order)


def pairwise_loss(scores: Tensor, rewards: Tensor, mask: Tensor, scale: float = 1.0) -> Tensor:
    """Return the pairwise loss: in every pair the better answer should be more likely, whatever the reward gap.

        loss = mean over pairs with r_k > r_i of log(1 + exp(-scale (s_k - s_i)))

    Computed in at least 32 bits.

    Computed in at least 32 bits.

    Args:
        scores: [B, n] mean log-probability of a token, of any floating type.
        rewards: [B, n], higher is better; masked values may be anything.
        mask: [B, n] bool: whether there is an answer.
        scale: Scale of score differences.

    Returns:
        [B]: 0 if no two answers have different rewards.

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


def contrastive_loss(
    vectors: Tensor,
    ids: Tensor,
    tau: Tensor,
    known: Tensor | None = None,
    log_share: Tensor | None = None,
) -> Tensor:
    """Return the contrastive loss: pick out each note's partner among the other notes of the batch.

        L_cl = -1/(2B) sum_i log( e^(sim(i, i+) e^tau) / sum over j != i of e^(sim(i, j) e^tau) )

    Copies of a note or of its partner are not negatives: both are masked. Collapsed vectors (all equal, all notes
    distinct) give exactly ln(2B - 1).

    Args:
        vectors: [2B, d], of any norm but 0: the first notes of B pairs, then the second ones in the same order.
        ids: [2B] int64, the note of each row.
        tau: []: similarities are multiplied by e^tau; initially 3 in the paper.
        known: [2B, 2B] bool, further pairs known to belong together, which are not used as negatives. None: there are
            none.
        log_share: [2B], the logarithm of how often each note is drawn, subtracted from every logit: in-batch negatives
            occur as often as they are popular, and without the correction popular notes are pushed away for it (Yi et
            al. 2019, "Sampling-bias-corrected neural modeling", section 4). None: no correction.

    Returns:
        [], the mean over the 2B notes, in float32.

    Example:
        >>> alike = torch.ones(6, 4)
        >>> bool(contrastive_loss(alike, torch.arange(6), torch.tensor(3.0)).isclose(torch.tensor(5.0).log()))
        True
    """
    count = len(vectors) // 2
    unit = nn.functional.normalize(vectors.float(), dim=1)
    logits = unit @ unit.T * tau.float().exp()  # [2B, 2B]
    if log_share is not None:
        logits = logits - log_share
    rows = torch.arange(2 * count, device=vectors.device)
    partner = (rows + count) % (2 * count)
    hidden = (ids[:, None] == ids) | (ids[partner][:, None] == ids)
    if known is not None:
        hidden = hidden | known
    hidden[rows, partner] = False
    return nn.functional.cross_entropy(logits.masked_fill(hidden, -torch.inf), partner)


def joint_loss(contrastive: Tensor, generative: Tensor | None, alpha: float) -> Tensor:
    """Return (L_cl + alpha L_gen) / (1 + alpha); only the contrastive loss if nothing is generated."""
    if generative is None or alpha == 0:
        return contrastive
    return (contrastive + alpha * generative) / (1 + alpha)
