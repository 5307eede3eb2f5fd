"""The ground: what the events say about the sampled rows, whatever their texts are. Test rows are dropped first.

Built once for a sample; any number of versions are judged on it. The residual of a rating is what remains without its
user: rating - (m + n / (n + 5) (mean of the user's n training ratings - m)), m the mean of all training ratings; the
label takes the place of the rating where the data has no ratings.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import polars as pl

from ctr.samples import Samples, build_samples, codes_of
from evals.prompts.worth.backbone import base_logits
from evals.trial import TrialRow
from feature_store.vectors import as_of_rows
from prompts.domain import Domain
from sources.events import PARTS, histories
from sources.tables import Dataset

SHRINK = 5.0
"""Ratings after which a user's own mean counts half."""
HISTORY = 30
"""Events of a history."""
MOST_ITEMS = 300
"""Common items at most: their descriptions are encoded for texts about users."""


@dataclass(frozen=True)
class Ground:
    """N samples without test rows, and n rows of a trial."""

    task: str
    """The technique."""
    entity: str
    """What a row is about."""
    samples: Samples
    """Training and validation rows."""
    as_of: np.ndarray
    """[n] datetime64[us]: what each row may have seen."""
    owner: np.ndarray
    """[n] int64: code of the row's item or user in the samples, -1 = none."""
    group: np.ndarray
    """[n] int64, 0 to G - 1: rows about the same entity have the same."""
    seen: np.ndarray
    """[N] int64: the row that a sample may use, the newest with `as_of` strictly before its time; -1 = none."""
    rated: np.ndarray
    """[N] bool: samples with a residual."""
    residual: np.ndarray
    """[N] float64: rating without its user."""
    described: tuple[str, ...]
    """[I] what the catalogue says of each item; empty unless the rows are about users."""
    common: np.ndarray
    """[k] int64, rising: codes of the items with most training events, with which users' texts are compared."""

    def is_part(self, part: str) -> np.ndarray:
        """Return which samples are for training or validation: [N] bool."""
        return self.samples.part == PARTS.index(part)

    @cached_property
    def covered(self) -> np.ndarray:
        """Return which samples a click model reads a text for; of users, those about common items: [N] bool."""
        common = np.isin(self.samples.item, self.common) if self.entity == "user" else True
        return (self.seen >= 0) & common

    @cached_property
    def base(self) -> np.ndarray:
        """Return the logits of the fixed model without text, trained at first use: [N], NaN where not covered."""
        return base_logits(self.samples, self.covered)


def open_ground(task: str, entity: str, rows: Sequence[TrialRow], dataset: Dataset, domain: Domain) -> Ground:
    """Build the ground of a sample.

    Args:
        task: The technique.
        entity: What a row is about.
        rows: The sample.
        dataset: Events with their parts, and items.
        domain: Describes items, where the rows are about users.
    """
    kept = without_test(dataset)
    samples = build_samples(kept, histories(kept.events, HISTORY))
    as_of = np.array([row.as_of.replace(tzinfo=None) for row in rows], dtype="datetime64[us]")
    names = np.array([row.entity for row in rows], dtype=str)
    ids, asked = {
        "item": (samples.item_ids, samples.item),
        "user": (samples.user_ids, samples.user),
    }.get(entity, (samples.item_ids[:0], samples.item))
    owner = codes_of(names, ids)
    known = np.flatnonzero(owner >= 0)
    place = as_of_rows(asked, samples.time, owner[known], as_of[known])
    rated = _rated(kept, samples)
    described = [domain.item_description(item) for item in kept.items.iter_rows(named=True)] if entity == "user" else []
    return Ground(
        task=task,
        entity=entity,
        samples=samples,
        as_of=as_of,
        owner=owner,
        group=np.unique(names, return_inverse=True)[1].astype(np.int64),
        seen=np.where(place >= 0, np.append(known, -1)[place], -1),
        rated=rated,
        residual=without_user(samples, rated & (samples.part == PARTS.index("train"))),
        described=tuple(described),
        common=_common(samples),
    )


def _common(samples: Samples) -> np.ndarray:
    used = (samples.part == PARTS.index("train")) & samples.happened
    count = np.bincount(samples.item[used], minlength=len(samples.item_ids))
    return np.sort(np.argsort(-count, kind="stable")[:MOST_ITEMS])


def without_test(dataset: Dataset) -> Dataset:
    """Drop every test row: nothing here may see one, not even as somebody's history."""
    sampled = dataset.sampled
    return replace(
        dataset,
        events=dataset.events.filter(pl.col("part") != "test"),
        sampled=None if sampled is None else sampled.filter(pl.col("part") != "test"),
    )


def _rated(dataset: Dataset, samples: Samples) -> np.ndarray:
    """Return which samples have a rating; all, sampled negatives too, where the data has none: [N] bool."""
    rated = dataset.events["rating"].is_not_null().to_numpy()
    if not rated.any():
        return np.ones(len(samples.label), dtype=bool)
    return np.concatenate([rated, np.zeros(len(samples.label) - len(rated), dtype=bool)])


def without_user(samples: Samples, counted: np.ndarray) -> np.ndarray:
    """Subtract from each rating the shrunk mean of its user: [N] bool, the ratings that means are made of -> [N]."""
    rating = samples.rating.astype(np.float64)
    overall = rating[counted].mean() if counted.any() else 0.0
    users = len(samples.user_ids)
    count = np.bincount(samples.user[counted], minlength=users)
    above = np.bincount(samples.user[counted], rating[counted] - overall, users) / (count + SHRINK)
    return rating - overall - above[samples.user]
