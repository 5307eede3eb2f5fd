"""Similarity of the target to the history: how the user rated the most similar items.

Idea:      on a small log no network learns which texts belong together, but their cosine shows it (docs/benchmarks.md).
           Nothing is trained here: five numbers per sample, computed once, so training costs no more than before.
Formula:   p_h = softmax_h(cos(target, h) / 0.1);   [ sum p_h (rating_h - user mean), sum p_h surprise_h,
           max_h cos, mean cos to liked, mean cos to disliked ],   over the strictly earlier events of the history.
Consumes:  vectors of items.   Produces: [B, 5].
Relations: DIN learns such weights from ids; quality looks at the target alone.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from ctr.adapters.protocol import Adapter, Plain, view_name
from ctr.batch import Known
from ctr.samples import Samples
from ctr.serving.live import Live, Scale, Scaled, Served, past_scale
from ctr.views import View, history_view, knowledge_view, sample_view
from feature_store.vectors import Knowledge

TEMPERATURE = 0.1
"""What cosines are divided by before the softmax."""
CHUNK = 512
"""Samples at a time: 30 events of 384 numbers are then 24 MB, which more than halves the time of 2,048."""


def history_similarity(
    target: Tensor, history: Tensor, rating: Tensor, surprise: Tensor, liked: Tensor, mask: Tensor
) -> Tensor:
    """Compare targets with histories.

    Args:
        target: [B, d], of length one.
        history: [B, H, d], of length one.
        rating: [B, H], each event's rating minus the user's mean.
        surprise: [B, H], each event's rating minus what its item usually gets.
        liked: [B, H], 1 where the event's label is 1.
        mask: [B, H], 1 where there is an event with a vector.

    Returns:
        [B, 5]; zeros where the mask is empty.
    """
    return weigh(torch.einsum("bd,bhd->bh", target, history), rating, surprise, liked, mask)


def weigh(cosine: Tensor, rating: Tensor, surprise: Tensor, liked: Tensor, mask: Tensor) -> Tensor:
    """Compute the five numbers from the cosines: [B, H] and four of [B, H], or [1, H] for one user, -> [B, 5]."""
    mask = mask.to(cosine.dtype)
    weight = torch.softmax((cosine / TEMPERATURE).masked_fill(mask == 0, -1e9), dim=1) * mask
    liked, disliked = liked * mask, (1 - liked) * mask
    columns = [
        (weight * rating).sum(1),
        (weight * surprise).sum(1),
        cosine.masked_fill(mask == 0, -1).amax(1) * mask.amax(1),
        (cosine * liked).sum(1) / liked.sum(1).clamp(min=1),
        (cosine * disliked).sum(1) / disliked.sum(1).clamp(min=1),
    ]
    return torch.stack(columns, dim=1)


def prepare(knowledge: Sequence[Knowledge], samples: Samples, folds: int) -> dict[str, View]:
    """Compute the features of all samples, in chunks of bounded memory."""
    views: dict[str, View] = {}
    for vectors in knowledge:
        views[view_name(vectors)] = sample_view(*features(vectors, samples), samples)
    return views


def features(vectors: Knowledge, samples: Samples) -> tuple[np.ndarray, np.ndarray]:
    """Compute the five numbers of every sample, [N, 5] float32, and where they are known, [N] bool."""
    target, past = knowledge_view(vectors, samples), history_view(vectors, samples)
    table = torch.nn.functional.normalize(torch.from_numpy(vectors.vectors), dim=1)
    out = torch.zeros(len(samples.item), 5)
    seen = (target.rows >= 0) & (past.rows >= 0).any(axis=1)
    for rows in torch.from_numpy(seen).nonzero().squeeze(1).split(CHUNK):
        out[rows] = _chunk(table, target, past, samples, rows)
    return out.numpy(), seen


def _chunk(table: Tensor, target: View, past: View, samples: Samples, rows: Tensor) -> Tensor:
    chosen = rows.numpy()
    index = torch.from_numpy(past.rows[chosen])  # [B, H]
    events = samples.history[chosen].clip(min=0)
    return history_similarity(
        table[torch.from_numpy(target.rows[chosen])],
        table[index.clamp(min=0)],
        torch.from_numpy(samples.rating[events] - samples.user_mean[chosen, None]),
        torch.from_numpy(samples.surprise[events]),
        torch.from_numpy(samples.label[events]),
        index >= 0,
    )


def serve(knowledge: Sequence[Knowledge], samples: Samples, folds: int, live: Live) -> Served:
    """Keep how each user rated its history, and each item's vectors."""
    past = samples.history[live.users]
    events = past.clip(min=0)
    user = {
        "rating": samples.rating[events] - samples.user_mean[live.users, None],
        "surprise": samples.surprise[events],
        "liked": samples.label[events],
        "there": past >= 0,
    }
    item: dict[str, np.ndarray] = {}
    scales: list[Scale] = []
    for place, vectors in enumerate(knowledge):
        rows = knowledge_view(vectors, samples).rows[live.items]
        table = torch.nn.functional.normalize(torch.from_numpy(vectors.vectors), dim=1).numpy()
        none = np.zeros((1, table.shape[1]), dtype=np.float32)  # so that an empty table can be indexed
        item[f"vector_{place}"] = np.concatenate([table, none])[rows]  # row -1 is the last one: unknown
        item[f"known_{place}"] = rows >= 0
        values, seen = features(vectors, samples)
        scales.append(past_scale(np.where(seen[:, None], values, np.nan), samples.happened))
    names = [view_name(vectors) for vectors in knowledge]
    return Served(user, item, tuple(item), LiveSimilarity(names, scales), dict.fromkeys(names, 5))


class LiveSimilarity(nn.Module):
    """The features of live pairs.

    Args:
        names: Names of the views.
        scales: Scale of each view over the log.
    """

    def __init__(self, names: Sequence[str], scales: Sequence[Scale]) -> None:
        super().__init__()
        self.names, self.scaled = tuple(names), nn.ModuleList(Scaled(scale) for scale in scales)

    def forward(
        self, user: Mapping[str, Tensor], history: Mapping[str, Tensor], item: Mapping[str, Tensor]
    ) -> dict[str, Known]:
        """How a user rated its history, [1, H], vectors of that, [1, H, d], and of the items, [B, d] -> [B, 5] each."""
        views: dict[str, Known] = {}
        for place, (name, scaled) in enumerate(zip(self.names, self.scaled, strict=True)):
            cosine = item[f"vector_{place}"] @ history[f"vector_{place}"][0].T  # [B, H]
            mask = user["there"] & history[f"known_{place}"]  # [1, H]
            found = weigh(cosine, user["rating"], user["surprise"], user["liked"], mask)
            views[name] = (scaled(found), item[f"known_{place}"] & mask.any(dim=1))
        return views


ADAPTER = Adapter("similarity", prepare, Plain, "how the user rated what is most like the target", serve)
