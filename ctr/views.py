"""Views: how knowledge, or any other frozen table, reaches samples: vectors, and the row indices of each sample.

Examples are the alternative: whole samples with their knowledge, as additional input of a sample.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ctr.samples import Samples, codes_of
from ctr.scale import standardise_by_past
from feature_store.vectors import Knowledge, as_of_rows


@dataclass(frozen=True)
class View:
    """One frozen table and the row of each sample."""

    table: np.ndarray
    """[M, k] float32; int64 if an adapter looks codes up in its own table."""
    rows: np.ndarray
    """[N] or [N, H] int64: index into the table, -1 = unknown."""

    @property
    def width(self) -> int:
        """Return the length of a vector."""
        return int(self.table.shape[1])

    @property
    def coverage(self) -> float:
        """Return the share of known rows."""
        return float((self.rows >= 0).mean()) if self.rows.size else 0.0


@dataclass(frozen=True)
class Examples:
    """A pool of M training samples, and the K of them chosen for each sample."""

    sample: np.ndarray
    """[M] int64: index of each example's sample."""
    label: np.ndarray
    """[M] int64: its label, 0 or 1."""
    vectors: np.ndarray
    """[M, k] float32: their knowledge vectors."""
    chosen: np.ndarray
    """[N, K] int64: the examples of each sample, the nearest last; -1 = none."""
    facts: Mapping[str, float | None]
    """Measures of the choice, for the report."""
    shown: Mapping[str, Any] = field(default_factory=dict)
    """The examples of some test samples, as plain JSON for the report."""
    counted: bool = True
    """Whether to include their statistics; those of an example later than the sample would leak the sample's label."""

    @property
    def width(self) -> int:
        """Return the length of a vector."""
        return int(self.vectors.shape[1])

    @property
    def coverage(self) -> float:
        """Return the share of `chosen` that is filled."""
        return float((self.chosen >= 0).mean()) if self.chosen.size else 0.0


def sample_view(values: np.ndarray, known: np.ndarray, samples: Samples) -> View:
    """Make a view of features computed once per sample, each column standardised by earlier samples.

    Features are computed from labels, so a scale from later samples would leak them.

    Args:
        values: [N, k] float32.
        known: [N] bool, False where there are no features.
        samples: The N samples.
    """
    masked = np.where(known[:, None], values.astype(np.float64), np.nan)
    rows = np.where(known, np.arange(len(values)), -1).astype(np.int64)
    return View(standardise_by_past(masked, samples.time, samples.happened), rows)


def knowledge_view(knowledge: Knowledge, samples: Samples) -> View:
    """Assign each sample the newest row about its item or user that was known strictly before it.

    Args:
        knowledge: Vectors about items or users.
        samples: N samples.

    Returns:
        A view with rows [N]; all unknown if the vectors are about something else, such as queries.
    """
    asked = samples.user if knowledge.entity == "user" else samples.item
    return View(knowledge.vectors, as_of_rows(asked, samples.time, entity_codes(knowledge, samples), knowledge.as_of))


def history_view(knowledge: Knowledge, samples: Samples) -> View:
    """Assign each sample the rows known strictly before it about every item of its history.

    Args:
        knowledge: Vectors about items.
        samples: N samples with histories of H events.

    Returns:
        A view with rows [N, H], -1 also where the history is shorter, and everywhere for vectors of other entities.
    """
    rows = np.full(samples.history.shape, -1, dtype=np.int64)
    if knowledge.entity != "item":
        return View(knowledge.vectors, rows)
    history = np.asarray(samples.history)
    there = history >= 0  # [N, H]
    items, times = samples.item[history[there]], np.repeat(samples.time, there.sum(1))
    rows[there] = as_of_rows(items, times, entity_codes(knowledge, samples), knowledge.as_of)
    return View(knowledge.vectors, rows)


def entity_codes(knowledge: Knowledge, samples: Samples) -> np.ndarray:
    """Return the code of each row's item or user, -1 if the samples do not have this id: [M] int64."""
    ids = {"item": samples.item_ids, "user": samples.user_ids}.get(knowledge.entity, samples.item_ids[:0])
    return codes_of(knowledge.entities, ids)
