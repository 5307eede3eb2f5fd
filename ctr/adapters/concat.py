"""Concatenation: the knowledge vectors themselves, as additional inputs.

Idea:      the simplest adapter; the backbone has to learn what a vector means.
Consumes:  vectors of items or users.   Produces: [B, sum of their lengths].
Relations: hybrid_experts compresses the same vectors first; similarity compares them with the history.
"""

from collections.abc import Sequence

from ctr.adapters.protocol import Adapter, Plain, view_name
from ctr.samples import Samples
from ctr.serving.sides import by_side
from ctr.views import View, knowledge_view
from feature_store.vectors import Knowledge


def prepare(knowledge: Sequence[Knowledge], samples: Samples, folds: int) -> dict[str, View]:
    """Look up the vectors as of each sample's time."""
    return {view_name(vectors): knowledge_view(vectors, samples) for vectors in knowledge}


ADAPTER = Adapter("concat", prepare, Plain, "the knowledge vectors as they are", by_side(prepare))
