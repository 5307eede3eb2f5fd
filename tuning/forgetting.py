"""Tune without losing what a model could before: R3F, and Wise-FT.

R3F       Aghajanyan et al. 2020, "Better Fine-Tuning by Reducing Representational Collapse" (arXiv 2008.03156),
          section 3: predictions should not change when the embeddings of the input move a little.

              L = L_task + weight * KL_S(f(x), f(x + z)),   KL_S(p, q) = KL(p || q) + KL(q || p)
              z uniform in [-radius, radius], one number for each element of the embeddings

Wise-FT   Wortsman et al. 2021, "Robust fine-tuning of zero-shot models" (arXiv 2109.01903), section 3: the weights
          between those before and after tuning, (1 - share) before + share * after, need no further training.
Relations: both are controls of RecGen, which mixes general instructions into what is learned (`mixture.py`).
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from transformers import Trainer

from tuning.losses import completion_loss
from tuning.packing import NOT_LEARNT


def symmetric_divergence(logits: Tensor, moved: Tensor, labels: Tensor, count: Tensor | int) -> Tensor:
    """Return KL(p || q) + KL(q || p) at the learned tokens, summed and divided by their number in the whole step.

    Args:
        logits: [B, K, V], at the positions given by `collate`; p is their softmax.
        moved: [B, K, V], the same positions with noise in the embeddings; q is their softmax.
        labels: [B, 1 + K], from `collate`.
        count: Number of learned tokens in the optimiser step.

    Example:
        >>> p, q = torch.tensor([[[0.0, 0.0]]]), torch.tensor([[[0.0, 1.0]]])
        >>> labels = torch.tensor([[-100, 1]])
        >>> round(float(symmetric_divergence(p, q, labels, 1)), 4)  # sum of (p - q) (log p - log q)
        0.2311
    """
    one, other = (torch.log_softmax(of.float(), dim=-1) for of in (logits, moved))
    both = ((one.exp() - other.exp()) * (one - other)).sum(dim=-1)  # [B, K]
    return both.masked_fill(labels[:, 1:] == NOT_LEARNT, 0.0).sum() / count


def interpolated(before: Mapping[str, Tensor], after: Mapping[str, Tensor], share: float) -> dict[str, Tensor]:
    """Return the weights between two models: (1 - share) before + share * after.

    Args:
        before: The weights before tuning, by name.
        after: The weights after tuning, with the same names.
        share: 0 = before, 1 = after.

    Raises:
        ValueError: The names differ.

    Example:
        >>> interpolated({"w": torch.tensor([0.0, 4.0])}, {"w": torch.tensor([1.0, 0.0])}, 0.25)["w"].tolist()
        [0.25, 3.0]
    """
    if before.keys() != after.keys():
        raise ValueError(f"weights with different names: {', '.join(sorted(before.keys() ^ after.keys()))}")
    return {name: torch.lerp(of, after[name], share) if of.is_floating_point() else of for name, of in before.items()}


class NoisedTrainer(Trainer):
    """transformers' Trainer whose loss adds R3F's divergence; every batch passes through the model twice."""

    weight: float
    """Weight of the divergence."""
    radius: float
    """Largest noise in an element of an embedding."""

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """Return the loss of the answers plus weight times the divergence."""
        labels = inputs.pop("labels")
        embedded = model.get_input_embeddings()(inputs.pop("input_ids"))
        noise = torch.empty_like(embedded).uniform_(-self.radius, self.radius)
        logits, moved = (model(**inputs, inputs_embeds=of).logits for of in (embedded, embedded + noise))
        divergence = symmetric_divergence(logits, moved, labels, num_items_in_batch)
        return completion_loss(logits, labels, num_items_in_batch) + self.weight * divergence
