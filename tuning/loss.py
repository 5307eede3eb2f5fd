"""The loss of completion-only tuning."""

import torch
from torch import Tensor, nn

from tuning.packing import NOT_LEARNT


def completion_loss(logits: Tensor, labels: Tensor, count: Tensor | int) -> Tensor:
    """Cross-entropy of the learnt tokens, summed here and divided by how many there are in the whole step.

        loss = - sum over learnt tokens t of log softmax(logits before t)[t] / count

    So two halves of a step that are added up give the gradient of the whole, however many tokens each half learns.

    Args:
        logits: [B, K, V], at the places that `collate` names.
        labels: [B, 1 + K], from `collate`.
        count: Learnt tokens of the optimiser step.
    """
    flat = logits.float().flatten(0, 1)  # [B * K, V]
    return nn.functional.cross_entropy(flat, labels[:, 1:].flatten(), ignore_index=NOT_LEARNT, reduction="sum") / count


def answer_log_probability(logits: Tensor, labels: Tensor) -> Tensor:
    """Log-probability of each row's learnt tokens together: [B, K, V], [B, 1 + K] -> [B]."""
    learnt = labels[:, 1:]  # [B, K]
    logs = torch.log_softmax(logits.float(), dim=-1)
    found = logs.gather(-1, learnt.clamp(min=0).unsqueeze(-1)).squeeze(-1)  # [B, K]
    return found.masked_fill(learnt == NOT_LEARNT, 0.0).sum(dim=-1)
