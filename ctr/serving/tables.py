"""The arrays of an exported model: what is known of every user and every item after the whole log."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from ctr.backbones.gbdt import columns_of
from ctr.batch import Batches
from ctr.samples import Samples
from ctr.serving.live import Live, Scale, Served, past_scale
from ctr.statistics import OF_BOTH, OF_ITEM, OF_USER, SHRINK, Log, category_affinity


@dataclass(frozen=True)
class Tables:
    """Arrays by the name of the input that reads them (`ctr.serving.pairs`)."""

    user: Mapping[str, np.ndarray]
    """One row per user."""
    item: Mapping[str, np.ndarray]
    """One row per item."""
    history: tuple[str, ...]
    """Inputs of the items that are also read of the items of a user's history, as `history...`."""


def live_tables(samples: Samples, live: Live, served: Mapping[str, Served], trees: bool) -> Tables:
    """Lay out the arrays.

    Args:
        samples: With the live rows.
        live: Which they are.
        served: What each adapter reads, by its place in the arm.
        trees: Whether trees read the categories, too.
    """
    batches = Batches(samples, {})
    users, items = (batches.take(torch.from_numpy(rows)) for rows in (live.users, live.items))
    affinity, count = live_affinity(samples)
    statistics = samples.statistics.shape[1]
    user = {
        "history": users.history.numpy().astype(np.int32),
        "history_rating": users.history_rating.numpy(),
        "history_mask": users.history_mask.numpy(),
        "user.statistics": samples.statistics[live.users, OF_USER],
        "user.affinity": affinity,
        "user.affinity_count": count,
    }
    item = {
        "item.statistics": samples.statistics[live.items, OF_ITEM],
        "item.numbers": items.dense.numpy()[:, statistics:],
        "item.shares": shares_of(samples),
    }
    if trees:
        item["item.columns"] = category_columns(samples)[live.items]
    for place, one in served.items():
        user |= {f"user.{place}.{name}": array for name, array in one.user.items()}
        item |= {f"item.{place}.{name}": array for name, array in one.item.items()}
    both = tuple(f"item.{place}.{name}" for place, one in served.items() for name in one.history)
    return Tables(_filled(user), _filled(item), both)


def _filled(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Leave out arrays without columns, which no input reads."""
    return {name: array for name, array in arrays.items() if array.ndim == 1 or array.shape[1]}


def shares_of(samples: Samples) -> np.ndarray:
    """Return the items' categories as shares, with a column of zeros if there are none: [I, C] float32."""
    shares = samples.item_categories
    return shares if shares.shape[1] else np.zeros((len(shares), 1), dtype=np.float32)


def category_columns(samples: Samples) -> np.ndarray:
    """Return the trees' columns of the items' categories, of every sample: [N, K] float32."""
    before = samples.statistics.shape[1] + samples.item_numbers.shape[1]
    return columns_of(samples, {}).values[:, before:]


def live_affinity(samples: Samples) -> tuple[np.ndarray, np.ndarray]:
    """Return how each user rated every category, after the whole log, and by how many events.

    The formula is that of `ctr.statistics.category_affinity` for one category: sum(rating - the user's mean) /
    (count + 5) over the user's events in it.

    Returns:
        [U, C] float32 and [U, C] float32.
    """
    events = np.flatnonzero(samples.happened)
    user, item, rating = samples.user[events], samples.item[events], samples.rating[events].astype(np.float64)
    users, shares = len(samples.user_ids), shares_of(samples)
    mean = np.bincount(user, rating, users) / np.maximum(np.bincount(user, minlength=users), 1)
    count, total = (np.zeros((users, shares.shape[1]), dtype=np.float64) for _ in range(2))
    for category in range(shares.shape[1]):
        there = shares[item, category] > 0
        count[:, category] = np.bincount(user[there], minlength=users)
        total[:, category] = np.bincount(user[there], rating[there], users)
    return ((total - count * mean[:, None]) / (count + SHRINK)).astype(np.float32), count.astype(np.float32)


def affinity_scale(samples: Samples) -> Scale:
    """Return the scale of the statistics that depend on a user and an item."""
    rating, label = samples.rating.astype(np.float64), samples.label.astype(np.float64)
    log = Log(samples.user, samples.item, samples.time, rating, label, samples.happened)
    values = category_affinity(log, log.earlier(log.user), samples.item_categories)
    assert values.shape[1] == OF_BOTH.stop - OF_BOTH.start
    return past_scale(values, samples.happened)
