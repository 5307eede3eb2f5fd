"""Examples of a training run: which samples are the pool, by what all samples are compared, and what test rows see.

`retrieval/examples.py` has the paper, the similarity and the guards; an example is a training row, says this file.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl

from base.faults import WrongUse
from ctr.samples import PARTS, Samples, codes_of
from ctr.views import history_view, knowledge_view
from feature_store.vectors import Knowledge
from retrieval.examples import RECENT, Retrieved, Situations, encodings
from sources.tables import event_of

REPORTED = 3
"""Test samples whose examples are noted for the report."""


@dataclass(frozen=True)
class ExampleRows:
    """Where M examples stand."""

    sample: np.ndarray
    """[M] int64: index of the sample each is."""
    row: np.ndarray
    """[M] int64: its row of knowledge."""


def find_examples(knowledge: Knowledge, samples: Samples) -> ExampleRows:
    """Find the sample of each row of knowledge about an event; rows about events that the data lacks are left out.

    Raises:
        WrongUse: A row is about an event that is not for training.
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
    """Let each sample see what is known, strictly before it, of its item and of its history's items."""
    recent = replace(samples, history=samples.history[:, -RECENT:])
    item, history = (view.rows for view in (knowledge_view(items, samples), history_view(items, recent)))
    return Situations(samples.user, samples.time, encodings(items.vectors, item, history))


def shown_to_test(task: str, found: Retrieved, rows: ExampleRows, samples: Samples) -> dict[str, Any]:
    """Note what some test samples, evenly over time, are shown.

    Args:
        task: Technique whose rows the examples are.
        found: What each sample is shown.
        rows: Where the examples stand.
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
