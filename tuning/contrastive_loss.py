"""The losses of NoteLLM: pairs of notes that the same people choose come together, all others of the batch apart.

Paper:     Zhang et al. 2024, "NoteLLM", section 3.3 and 3.4, equations 2 to 4 (arXiv 2403.01744).
Formula:   L_cl = -1/(2B) sum_i log( e^(sim(i, i+) e^tau) / sum over j != i of e^(sim(i, j) e^tau) )
           L_gen = mean over learnt tokens of the cross-entropy;   L = (L_cl + alpha L_gen) / (1 + alpha)
Relations: completion_loss is L_gen; pro_loss ranks answers where this one ranks notes.
"""

import torch
from torch import Tensor, nn


def contrastive_loss(
    vectors: Tensor,
    ids: Tensor,
    tau: Tensor,
    known: Tensor | None = None,
    log_share: Tensor | None = None,
) -> Tensor:
    """Tell the partner of every note from the other notes of the batch.

    A note that is drawn twice is no negative of itself, nor is a second copy of its partner: both are masked. Collapsed
    vectors, all alike and all distinct notes, give exactly ln(2B - 1).

    Args:
        vectors: [2B, d], of any length but zero: the first notes of B pairs, then the second ones in the same order.
        ids: [2B] int64, which note each row is.
        tau: []: similarities count e^tau times; 3 at first in the paper.
        known: [2B, 2B] bool, pairs that are known to belong together although they are not drawn as such; no negatives
            either. None: there are none.
        log_share: [2B], the logarithm of how often each note is drawn, taken from every logit: in-batch negatives come
            as often as they are popular, and without the correction popular notes are pushed away for it (Yi et al.
            2019, "Sampling-bias-corrected neural modeling", section 4). None: nothing is corrected.

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
    """Weigh both losses: (L_cl + alpha L_gen) / (1 + alpha); the contrastive one alone where nothing is generated."""
    if generative is None or alpha == 0:
        return contrastive
    return (contrastive + alpha * generative) / (1 + alpha)
