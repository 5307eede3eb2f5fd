"""KAR's hybrid-expert adaptor: shared and dedicated experts compress the knowledge about the user and the item.

Paper:     Xi et al. 2023, "Towards Open-World Recommendation with Knowledge Augmentation from LLMs", section 4.2.
Formula:   per side i in {user, item}:  alpha_i = softmax(W_i r_i + b_i) over S shared and D dedicated experts,
           r_i* = sum_s alpha_is E_s(r_i) + sum_d alpha_id E_id(r_i);   out = [r_user* ; r_item*]
Consumes:  one vector of the user and one of the item, of the same length.   Produces: [B, 64] ([B, 32] per side).
Relations: concat passes on the raw vectors; S=0, D=1 is a plain perceptron per side.
"""

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn

from base.faults import WrongUse
from ctr.adapters.protocol import Adapter, Missing, view_name
from ctr.backbones.perceptron import perceptron
from ctr.batch import Known
from ctr.samples import Samples
from ctr.serving.sides import by_side
from ctr.views import View, knowledge_view
from feature_store.vectors import Knowledge

HIDDEN = (128, 32)
"""Widths of an expert, ReLU after both layers."""


class Side(nn.Module):
    """One side: its own experts, its gate, and a learned vector for unknown ones.

    Args:
        width: Length of its vector, d.
        shared: Number of experts that every side uses, S.
        dedicated: Number of its own experts, D.
    """

    def __init__(self, width: int, shared: int, dedicated: int) -> None:
        super().__init__()
        self.missing = Missing(width)
        self.dedicated = nn.ModuleList(perceptron(width, HIDDEN) for _ in range(dedicated))
        self.gate = nn.Linear(width, shared + dedicated)

    def weights(self, vector: Tensor) -> Tensor:
        """Return the weights of the experts: [B, d] -> [B, S + D], each row sums to 1; uses only this side's vector."""
        return torch.softmax(self.gate(vector), dim=1)

    def forward(self, known: Known, shared: Iterable[nn.Module]) -> Tensor:
        """Compress the knowledge about B samples' users or items -> [B, 32]."""
        vector = self.missing(known)
        answers = torch.stack([expert(vector) for expert in (*shared, *self.dedicated)], dim=1)  # [B, S + D, 32]
        return torch.einsum("be,beo->bo", self.weights(vector), answers)


class HybridExperts(nn.Module):
    """The adaptor.

    Args:
        widths: Length of the vector of each side, by the name of its view.
        shared: Experts that every side uses, S.
        dedicated: Experts of each side, D.

    Raises:
        WrongUse: Experts are shared, but the vectors differ in length.
    """

    def __init__(self, widths: Mapping[str, int], shared: int = 2, dedicated: int = 5) -> None:
        super().__init__()
        if shared and len(set(widths.values())) > 1:
            lengths = ", ".join(f"{name} has {width}" for name, width in widths.items())
            raise WrongUse(
                f"hybrid_experts shares experts between its sides, so their vectors must be equally long: {lengths}\n"
                "  use vectors of the same length, such as those of one dense encoder"
            )
        self.names = tuple(widths)
        self.shared = nn.ModuleList(perceptron(width, HIDDEN) for width in [*widths.values()][:1] * shared)
        self.sides = nn.ModuleList(Side(width, shared, dedicated) for width in widths.values())
        self.width = HIDDEN[-1] * len(widths)

    def forward(self, views: Mapping[str, Known]) -> Tensor:
        """Compress the knowledge about B samples' users and items -> [B, 32 * sides]."""
        parts = [side(views[name], self.shared) for name, side in zip(self.names, self.sides, strict=True)]
        return torch.cat(parts, dim=1)


def prepare(knowledge: Sequence[Knowledge], samples: Samples, folds: int) -> dict[str, View]:
    """Look up the vectors as of each sample's time; each is one side."""
    return {view_name(vectors): knowledge_view(vectors, samples) for vectors in knowledge}


ADAPTER = Adapter(
    "hybrid_experts", prepare, HybridExperts, "KAR's hybrid experts on user and item vectors", by_side(prepare)
)
