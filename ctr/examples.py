"""Examples of a training run: the pool, the data for comparing samples, and the examples of some test rows.

`retrieval/examples.py` has the paper, the similarity and the guards; this file ensures that examples are training rows.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl

from base.faults import WrongUse
from ctr.samples import Samples, codes_of
from ctr.views import history_view, knowledge_view
from feature_store.vectors import Knowledge
from retrieval.examples import RECENT, Retrieved, Situations, encodings
from sources.events import PARTS, histories
from sources.tables import event_of

REPORTED = 3
"""Test samples whose examples go into the report."""


@dataclass(frozen=True)
class ExampleRows:
    """Indices of M examples."""

    sample: np.ndarray
    """[M] int64: index of each one's sample."""
    row: np.ndarray
    """[M] int64: its row of knowledge."""


def find_examples(knowledge: Knowledge, samples: Samples) -> ExampleRows:
    """Find the sample of each row of knowledge about an event; leave out rows about events that are not in the data.

    Raises:
        WrongUse: A row is about an event outside the training part.
    """
    about = [event_of(entity) for entity in knowledge.entities.tolist()]
    key = ("user", "item", "time")
    wanted = pl.DataFrame(
        {
            "user": codes_of(np.array([user for user, _ in about], dtype=str), samples.user_ids),
            "item": codes_of(np.array([item for _, item in about], dtype=str), samples.item_ids),
            "time": knowledge.as_of.astype("datetime64[us]"),
        }
    ).with_row_index("row")
    events = pl.DataFrame({"user": samples.user, "item": samples.item, "time": samples.time}).with_row_index("sample")
    events = events.filter(samples.happened)
    found = wanted.join(events.unique(key, keep="first", maintain_order=True), on=key, how="inner").sort("row")
    sample = found["sample"].to_numpy().astype(np.int64)
    wrong = samples.part[sample] != PARTS.index("train")
    if wrong.any():
        first = sample[wrong][0]
        event = f"user {samples.user_ids[samples.user[first]]}, item {samples.item_ids[samples.item[first]]}"
        raise WrongUse(
            f"{knowledge.task}: {wrong.sum():,} of {len(wrong):,} examples are events that the split keeps for "
            f"validation or test, such as {event}, {samples.time[first]}\n"
            f"  make the examples again under this split: knowflow refresh --task {knowledge.task}"
        )
    return ExampleRows(sample, found["row"].to_numpy().astype(np.int64))


def situations(items: Knowledge, samples: Samples) -> Situations:
    """Encode each sample by the vectors of its item and its history's items, known strictly before it.

    Only what a user rated or chose is recent: items shown and not chosen say little of a taste.
    """
    length = min(RECENT, samples.history.shape[1])
    log = pl.DataFrame({"user": samples.user, "time": samples.time})
    past = samples.history[:, -length:] if samples.chosen is None else histories(log, length, samples.chosen)
    recent = replace(samples, history=past)
    item, history = (view.rows for view in (knowledge_view(items, samples), history_view(items, recent)))
    return Situations(samples.user, samples.time, encodings(items.vectors, item, history))


def shown_to_test(task: str, found: Retrieved, rows: ExampleRows, samples: Samples) -> dict[str, Any]:
    """Return the examples of some test samples, spread evenly over time.

    Args:
        task: Technique that made the examples.
        found: The examples of each sample.
        rows: Indices of the examples.
        samples: All samples.

    Returns:
        Plain JSON: `task` and `samples`: user, item, time (ISO, UTC) and label of each, and its `examples`: the same
        and similarity, the liked ones first, the nearest of each label first.
    """
    test = np.flatnonzero(samples.part == PARTS.index("test"))
    number = min(REPORTED, len(test))
    noted = [int(test[(2 * place + 1) * len(test) // (2 * number)]) for place in range(number)]
    return {"task": task, "samples": [_event(row, samples) | _shown(row, found, rows, samples) for row in noted]}


def _event(row: int, samples: Samples) -> dict[str, Any]:
    return {
        "user": str(samples.user_ids[samples.user[row]]),
        "item": str(samples.item_ids[samples.item[row]]),
        "time": f"{samples.time[row]}+00:00",
        "label": int(samples.label[row]),
    }


def _shown(row: int, found: Retrieved, rows: ExampleRows, samples: Samples) -> dict[str, Any]:
    examples = [
        {**_event(int(rows.sample[example]), samples), "similarity": similarity}
        for example, similarity in zip(found.chosen[row].tolist(), found.similarity[row].tolist(), strict=True)
        if example >= 0
    ]
    examples.sort(key=lambda one: (-one["label"], -one["similarity"]))
    return {"lacking": found.chosen.shape[1] - len(examples), "examples": examples}
