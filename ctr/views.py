"""Views: how knowledge, or any other frozen table, reaches samples: vectors, and the rows each sample looks at.

Examples are the other way: whole samples, with what is known of each, that are shown beside a sample.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ctr.samples import Samples, codes_of, standardise_by_past
from feature_store.vectors import Knowledge, as_of_rows


@dataclass(frozen=True)
class View:
    """One frozen table and the place where each sample looks."""

    table: np.ndarray
    """[M, k] float32; int64 where an adapter looks codes up in a table of its own."""
    rows: np.ndarray
    """[N] or [N, H] int64: index into the table, -1 = nothing is known."""

    @property
    def width(self) -> int:
        """Length of a vector."""
        return int(self.table.shape[1])

    @property
    def coverage(self) -> float:
        """Share of the places where something is known."""
        return float((self.rows >= 0).mean()) if self.rows.size else 0.0


@dataclass(frozen=True)
class Examples:
    """A pool of training samples, of which each sample is shown some; M examples, K shown to a sample."""

    sample: np.ndarray
    """[M] int64: index of the sample that each example is."""
    label: np.ndarray
    """[M] int64: its label, 0 or 1."""
    vectors: np.ndarray
    """[M, k] float32: what is known of each."""
    chosen: np.ndarray
    """[N, K] int64: the examples each sample is shown, the nearest last; -1 = none."""
    facts: Mapping[str, float | None]
    """What is reported of the choice."""
    shown: Mapping[str, Any] = field(default_factory=dict)
    """What some test samples are shown, as plain JSON for the report."""
    counted: bool = True
    """Whether their statistics are shown, too; those of an example that is later than the sample count the sample's own
    label."""

    @property
    def width(self) -> int:
        """Length of a vector."""
        return int(self.vectors.shape[1])

    @property
    def coverage(self) -> float:
        """Share of the places where an example is shown."""
        return float((self.chosen >= 0).mean()) if self.chosen.size else 0.0


def sample_view(values: np.ndarray, known: np.ndarray, samples: Samples) -> View:
    """Make a view of features computed once per sample, each column standardised by what earlier samples got.

    Features are made of labels, and so would a scale be that is taken from later samples.

    Args:
        values: [N, k] float32.
        known: [N] bool, False where the features say nothing.
        samples: The N samples.
    """
    told = np.where(known[:, None], values.astype(np.float64), np.nan)
    rows = np.where(known, np.arange(len(values)), -1).astype(np.int64)
    return View(standardise_by_past(told, samples.time), rows)


def knowledge_view(knowledge: Knowledge, samples: Samples) -> View:
    """Let each sample see the newest row about its item or user that was known strictly before it.

    Args:
        knowledge: Vectors about items or users.
        samples: N samples.

    Returns:
        A view with rows [N]; nothing is known where the vectors are about something else, such as queries.
    """
    asked = samples.user if knowledge.entity == "user" else samples.item
    return View(knowledge.vectors, as_of_rows(asked, samples.time, entity_codes(knowledge, samples), knowledge.as_of))


def history_view(knowledge: Knowledge, samples: Samples) -> View:
    """Let each sample see what was known, strictly before it, about every item of its history.

    Args:
        knowledge: Vectors about items.
        samples: N samples with histories of H events.

    Returns:
        A view with rows [N, H], -1 also where the history is shorter, and everywhere for vectors of other entities.
    """
    rows = np.full(samples.history.shape, -1, dtype=np.int64)
    if knowledge.entity != "item":
        return View(knowledge.vectors, rows)
    there = samples.history >= 0  # [N, H]
    items, times = samples.item[samples.history[there]], np.repeat(samples.time, there.sum(1))
    rows[there] = as_of_rows(items, times, entity_codes(knowledge, samples), knowledge.as_of)
    return View(knowledge.vectors, rows)


def entity_codes(knowledge: Knowledge, samples: Samples) -> np.ndarray:
    """Code of the item or user that each row is about, -1 where the samples have none of this id: [M] int64."""
    ids = {"item": samples.item_ids, "user": samples.user_ids}.get(knowledge.entity, samples.item_ids[:0])
    return codes_of(knowledge.entities, ids)
