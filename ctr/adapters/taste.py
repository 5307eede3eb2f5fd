"""Taste: which directions of an item's vector this user likes more than others do, learned event by event.

Idea:      a ridge regression per user, from the vectors of strictly earlier items to how much better than expected the
           user rated them, applied to the target; nothing in it is trained with the model.
Formula:   x_i = [1; 48 principal components of each vector of item i];   y_e = surprise_e - the user's shrunk mean
           surprise before e;   w = (sum_e x_e x_e' + 20 I)^-1 sum_e x_e y_e over e strictly earlier;
           taste = w x_target; w is updated in closed form (Sherman and Morrison 1950), a moment's events together.
Consumes:  vectors of items, all read together.   Produces: [B, 1].
Relations: similarity weighs the history's events by their likeness; this learns what counts as similar. quality is
           such a regression over all users.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from sklearn.decomposition import PCA
from torch import Tensor, nn

from ctr.adapters.protocol import Adapter, Plain
from ctr.batch import Known
from ctr.earlier import strictly_earlier
from ctr.samples import Samples
from ctr.serving.live import Live, Scale, Scaled, Served, past_scale
from ctr.statistics import SHRINK
from ctr.views import View, entity_codes, knowledge_view, sample_view
from feature_store.vectors import Knowledge

COMPONENTS = 48
"""Principal components of each encoding."""
PENALTY = 20.0
"""Strength of the ridge penalty: about as many events as it takes to know a taste."""
USERS = 64
"""Users whose regressions are updated at a time: with 97 numbers an item, 2.4 MB of inverses, which stay in cache."""


def prepare(knowledge: Sequence[Knowledge], samples: Samples, folds: int) -> dict[str, View]:
    """Compute the taste of every sample from all vectors together; those of anything but items say nothing."""
    vectors, known = item_vectors(knowledge, samples)
    value, _ = tastes(vectors, known, residuals(samples), samples)
    return {"taste": sample_view(value[:, None], known, samples)}


def item_vectors(knowledge: Sequence[Knowledge], samples: Samples) -> tuple[np.ndarray, np.ndarray]:
    """Return x of every sample's item, [N, d] float32, and where any of its vectors is known, [N] bool."""
    blocks, known = [np.ones((len(samples.item), 1), dtype=np.float32)], np.zeros(len(samples.item), dtype=bool)
    for one in knowledge:
        rows = np.full(len(known), -1)
        if one.entity == "item":
            rows = knowledge_view(one, samples).rows  # [N]
        known |= rows >= 0
        there = entity_codes(one, samples) >= 0
        # Components come from the rows that are known first: who sees any row sees none that is older.
        there &= one.as_of == one.as_of[there].min() if there.any() else False
        table = components(one.vectors, there)
        blocks.append(np.where(rows[:, None] >= 0, table[rows], 0))
    return np.concatenate(blocks, axis=1), known


def serve(knowledge: Sequence[Knowledge], samples: Samples, folds: int, live: Live) -> Served:
    """Keep each user's weights after the whole log, and each item's x."""
    vectors, known = item_vectors(knowledge, samples)
    value, weights = tastes(vectors, known, residuals(samples), samples)
    item = {"x": vectors[live.items], "known": known[live.items]}
    scale = past_scale(np.where(known, value, np.nan)[:, None], samples.happened)
    return Served({"weights": weights[samples.user[live.users]]}, item, (), LiveTaste(scale), {"taste": 1})


class LiveTaste(nn.Module):
    """The taste of live pairs.

    Args:
        scale: Of the taste of all events.
    """

    def __init__(self, scale: Scale) -> None:
        super().__init__()
        self.scaled = Scaled(scale)

    def forward(
        self, user: Mapping[str, Tensor], history: Mapping[str, Tensor], item: Mapping[str, Tensor]
    ) -> dict[str, Known]:
        """Weights [1, d] and vectors [B, d] -> the view `taste`, [B, 1]."""
        return {"taste": (self.scaled((item["x"] * user["weights"]).sum(dim=1, keepdim=True)), item["known"])}


def components(vectors: np.ndarray, fitted: np.ndarray) -> np.ndarray:
    """Principal components of vectors, scaled so that their squares add up to 1 on average, whatever the encoder.

    Args:
        vectors: [M, d].
        fitted: [M] bool, the rows that decide the components.

    Returns:
        [M, 48] float32, or fewer columns where there are not so many.
    """
    number = min(COMPONENTS, int(fitted.sum()), vectors.shape[1])
    if number == 0:
        return np.zeros((len(vectors) or 1, 0), dtype=np.float32)
    model = PCA(number, svd_solver="covariance_eigh").fit(vectors[fitted])
    found = model.transform(vectors)
    size = float(np.sqrt(np.square(found[fitted]).sum(axis=1).mean()))
    return (found / max(size, 1e-9)).astype(np.float32)


def residuals(samples: Samples) -> np.ndarray:
    """Each event's surprise minus its user's shrunk mean surprise before it: [N] float64."""
    earlier = strictly_earlier(samples.user, samples.time, samples.happened)
    return samples.surprise - earlier.total(samples.surprise) / (earlier.count() + SHRINK)


def tastes(
    vectors: np.ndarray, known: np.ndarray, target: np.ndarray, samples: Samples
) -> tuple[np.ndarray, np.ndarray]:
    """Predict each sample's residual by its user's regression over strictly earlier samples.

    Args:
        vectors: [N, d] float32.
        known: [N] bool; where False, nothing is learnt from the sample.
        target: [N] float64.
        samples: Users and times.

    Returns:
        [N] float32; 0 where the user has no earlier sample. And each user's weights after all samples, [U, d] float32.
    """
    out = np.zeros(len(vectors), dtype=np.float32)
    last = np.zeros((len(samples.user_ids), vectors.shape[1]), dtype=np.float32)
    order = np.lexsort((np.arange(len(known)), samples.time, samples.user))
    order = order[known[order]]
    user, time = samples.user[order], samples.time[order]
    begins = np.flatnonzero(np.append(True, user[1:] != user[:-1])) if len(order) else np.zeros(0, dtype=np.int64)
    sizes = np.diff(np.append(begins, len(order)))
    longest = np.argsort(-sizes, kind="stable")
    fresh = np.append(True, (user[1:] != user[:-1]) | (time[1:] != time[:-1]))  # the first of a moment
    learnt = samples.happened
    for chosen in np.array_split(longest, max(-(-len(longest) // USERS), 1)):
        last[user[begins[chosen]]] = _block(vectors, target, order, begins[chosen], sizes[chosen], fresh, learnt, out)
    return out, last


def _block(
    vectors: np.ndarray,
    target: np.ndarray,
    order: np.ndarray,
    begins: np.ndarray,
    sizes: np.ndarray,
    fresh: np.ndarray,
    learnt: np.ndarray,
    out: np.ndarray,
) -> np.ndarray:
    """Go through the samples of some users, those with most first, one of each at a time; return their last weights."""
    width = vectors.shape[1]
    inverse = np.tile(np.eye(width, dtype=np.float32) / PENALTY, (len(begins), 1, 1))  # [U, d, d]
    weights, seen = (np.zeros((len(begins), width), dtype=np.float32) for _ in range(2))  # [U, d]
    for step in range(int(sizes.max(initial=0))):
        live = int(np.searchsorted(-sizes, -step, side="left"))  # users who have more samples than this
        place = begins[:live] + step
        row = order[place]
        x = vectors[row]  # [u, d]
        seen[:live] = np.where(fresh[place, None], weights[:live], seen[:live])  # a moment's samples see none of it
        out[row] = (seen[:live] * x).sum(axis=1)
        gain = np.einsum("uij,uj->ui", inverse[:live], x)
        scale = learnt[row] / (1 + (gain * x).sum(axis=1))  # [u]; 0 where nothing happened
        error = target[row] - (weights[:live] * x).sum(axis=1)
        weights[:live] += gain * (scale * error)[:, None].astype(np.float32)
        inverse[:live] -= np.einsum("ui,uj->uij", gain * scale[:, None], gain)
    return weights


ABOUT = "which directions of an item's text this user likes, learned event by event"
ADAPTER = Adapter("taste", prepare, Plain, ABOUT, serve)
