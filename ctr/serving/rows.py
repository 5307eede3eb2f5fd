"""The live rows of a log: one per user and one per item, after everything that the log and the vectors hold."""

from collections.abc import Mapping

import numpy as np
import polars as pl

from ctr.kept import Kept
from ctr.pairs import pair_samples
from ctr.samples import Samples
from ctr.serving.live import Live
from feature_store.vectors import Knowledge
from sources.tables import Dataset

UNKNOWN = "\ufdd0"
"""Id of a user and of an item that nobody knows: a code point that no text holds."""


def live_samples(dataset: Dataset, model: Kept, vectors: Mapping[str, Knowledge]) -> tuple[Samples, Live]:
    """Build the samples of a log and, after them, its live rows: those of users have the unknown item, and vice versa.

    Args:
        dataset: The log.
        model: Its frame gives the codes and columns.
        vectors: What the model reads.
    """
    users = list(dict.fromkeys([*model.frame.user_ids, *dataset.events["user"].unique().sort(), UNKNOWN]))
    items = list(dict.fromkeys([*model.frame.item_ids, *dataset.items["item"], UNKNOWN]))
    pairs = pl.DataFrame(
        {"user": [*users, *[UNKNOWN] * len(items)], "item": [*[UNKNOWN] * len(users), *items], "time": None},
        schema={"user": pl.String, "item": pl.String, "time": pl.Datetime("us", "UTC")},
    )
    samples = pair_samples(dataset, pairs, model, vectors)
    rows = np.arange(len(samples.label) - len(pairs), len(samples.label))
    return samples, Live(_by_code(rows[: len(users)], samples.user), _by_code(rows[len(users) :], samples.item))


def _by_code(rows: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Order rows by their codes, which are 0, 1, 2 and so on, each once."""
    ordered = rows[np.argsort(codes[rows], kind="stable")]
    assert (codes[ordered] == np.arange(len(rows))).all()
    return ordered
