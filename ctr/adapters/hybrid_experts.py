"""KAR's hybrid-expert adaptor: shared and dedicated experts compress what is known about the user and the item.

Paper:     Xi et al. 2023, "Towards Open-World Recommendation with Knowledge Augmentation from LLMs", section 4.2.
Formula:   per side i in {user, item}:  alpha_i = softmax(W_i r_i + b_i) over S shared and D dedicated experts,
           r_i* = sum_s alpha_is E_s(r_i) + sum_d alpha_id E_id(r_i);   out = [r_user* ; r_item*]
Consumes:  one vector of the user and one of the item.   Produces: [B, 64].
Relations: concat hands over the raw vectors; S=0, D=1 is a plain perceptron a side.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from ctr.adapters.protocol import Adapter, Missing
from ctr.backbones.perceptron import perceptron
from ctr.batch import Known
from ctr.samples import Samples
from ctr.views import View, knowledge_view
from feature_store.knowledge import Knowledge

HIDDEN = (128, 32)
"""Widths of an expert, ReLU after both layers."""


class HybridExperts(nn.Module):
    """The adaptor.

    Args:
        widths: Length of the vector of each side, by the side's name.
        shared: Experts that every side uses, S.
        dedicated: Experts of each side alone, D.
    """

    def __init__(self, widths: Mapping[str, int], shared: int = 2, dedicated: int = 5) -> None:
        super().__init__()
        if shared and len(set(widths.values())) > 1:
            raise ValueError(f"shared experts need vectors of one length on all sides, these have {dict(widths)}")
        size = next(iter(widths.values()))
        self.missing = nn.ModuleDict({side: Missing(width) for side, width in widths.items()})
        self.shared = nn.ModuleList(perceptron(size, HIDDEN) for _ in range(shared))
        self.dedicated = nn.ModuleDict(
            {side: nn.ModuleList(perceptron(width, HIDDEN) for _ in range(dedicated)) for side, width in widths.items()}
        )
        self.gates = nn.ModuleDict({side: nn.Linear(width, shared + dedicated) for side, width in widths.items()})
        self.width = HIDDEN[-1] * len(widths)

    def gate(self, side: str, vector: Tensor) -> Tensor:
        """Weights of the experts: [B, d] -> [B, S + D], each row sums to 1; only this side's own vector counts."""
        return torch.softmax(self.gates[side](vector), dim=1)

    def forward(self, views: Mapping[str, Known]) -> Tensor:
        """What is known of B samples' users and items -> [B, 32 * sides]."""
        return torch.cat([self._side(side, module(views[side])) for side, module in self.missing.items()], dim=1)

    def _side(self, side: str, vector: Tensor) -> Tensor:
        experts = [*self.shared, *self.dedicated[side]]  # pyright: ignore[reportGeneralTypeIssues]
        answers = torch.stack([expert(vector) for expert in experts], dim=1)  # [B, S + D, 32]
        return torch.einsum("be,beo->bo", self.gate(side, vector), answers)


def prepare(knowledge: Sequence[Knowledge], samples: Samples, folds: int) -> dict[str, View]:
    """Look the vectors up, as of each sample's time; each kind of entity is one side."""
    return {vectors.entity: knowledge_view(vectors, samples) for vectors in knowledge}


ADAPTER = Adapter("hybrid_experts", prepare, HybridExperts, "KAR's hybrid experts on user and item vectors")
