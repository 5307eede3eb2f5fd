"""LLM-CF examples: the chain of thought behind decisions that users really made.

Paper:     Sun et al. 2024, "Large Language Models Enhanced Collaborative Filtering" (LLM-CF, arXiv 2403.17688).
Idea:      a model that is given the outcome explains it; explanations of a few rows are examples for all others.
Consumes:  training events: the newest `history_length` strictly earlier events of the user (12 in the recorded set),
           the target item, and whether the user liked it. Validation and test events are never shown.
Produces:  one reasoning and its vectors per event; as_of = the event's time, because the reasoning uses its outcome.
Cost:      `candidates` calls per event (1; published 3, of which the best is kept), about 240 tokens in, 120 out
           each; `examples` events (600), whatever the size of the log.
Relations: kar_user reads a whole history without an outcome; item_facts has the vectors used to find examples.
Example:   knowflow plan --task cot_examples

Which events: those listed under `only`, else `examples` of them, half of each label (fewer when a label has fewer). A
candidate is a training event whose user has a strictly earlier one; one of the same second is not earlier. Within each
label, events are taken

1. level by level: level 0 holds the first event of every user (by a hash of the event) that is also the first of its
   item among these; level 1 the second ones, and so on. So no user and no item has two before others have one;
2. within a level, month by month: the first event (by hash) of every month, then the second, so all months are covered.

The hash depends only on user, item and time, never on the position in the file, so that new events displace few of the
chosen ones. The answer for a displaced event is kept and stays in the pool.
"""

import hashlib
from collections.abc import Iterator

import numpy as np
import polars as pl
from pydantic import Field

from llm_tasks.pipeline.arm import COMPARED, Arm, Use
from llm_tasks.pipeline.history import in_history, show_history
from llm_tasks.pipeline.task import Inputs, Row, SampledOptions, llm_task
from prompts.domain import Domain
from sources.events import histories
from sources.tables import event_id

EVENT = ["user", "item", "time"]


LLM_CF = Arm(
    "llm-cf",
    "LLM-CF's decoder over like events of the past, each with the model's reasoning and its label.",
    (Use("in_context", ("cot_examples/dense", COMPARED)),),
)


class CotExamplesOptions(SampledOptions):
    """Options of cot_examples."""

    history_length: int = Field(default=20, ge=1)
    """How many of the newest events of a user's history a prompt shows."""
    examples: int = Field(default=600, ge=2, multiple_of=2)
    """How many events to ask about, half of each label; an even number."""


@llm_task(entity="event", prompt="cot_examples", decision="decision", options=CotExamplesOptions)
def cot_examples(inputs: Inputs) -> Iterator[Row]:
    """Yield one row per chosen training event, oldest first; an event with nothing strictly before it is left out."""
    options, chosen = inputs.own_options(CotExamplesOptions), chosen_events(inputs)
    # Build histories only for users that have an example: a log may be large, and examples are few.
    log = inputs.dataset.events.join(chosen, on="user", how="semi", maintain_order="left")
    past = histories(log, options.history_length, in_history(log, inputs.domain).to_numpy())  # [n, H], -1 = none
    items = {item["item"]: item for item in inputs.dataset.items.iter_rows(named=True)}
    names = {item: inputs.domain.item_name(row) for item, row in items.items()}
    targets = log.with_row_index("place").join(chosen, on=EVENT, how="semi", maintain_order="left")
    for target in targets.iter_rows(named=True):
        earlier = past[target["place"]]
        seen = log[earlier[earlier >= 0].tolist()]
        if len(seen):
            yield example(target, seen, names, inputs.domain.item_description(items[target["item"]]), inputs.domain)


def example(target: dict, seen: pl.DataFrame, names: dict[str, str], shown: str, domain: Domain) -> Row:
    """Return one row about an event: what came before it, oldest first; if that is too long, the oldest can be dropped.

    Args:
        target: user, item, time and label of the event.
        seen: item and rating of at least one strictly earlier event of the same user, by time.
        names: Item id -> its name in a history.
        shown: The target item as the prompt describes it.
        domain: The words of the domain.
    """
    return Row(
        event_id(target["user"], target["item"]),
        target["time"],
        {
            "history": show_history(seen, names, domain),
            "target": shown,
            "decision": domain.decisions[int(target["label"])],
        },
        seen_until=target["time"],  # the prompt contains its decision
        shorter=lambda: example(target, seen[1:], names, shown, domain) if len(seen) > 1 else None,
    )


def chosen_events(inputs: Inputs) -> pl.DataFrame:
    """Return the training events to ask about: those listed, else a spread of them; user, item, time."""
    training = inputs.dataset.events.filter(
        (pl.col("part") == "train") & (pl.col("time") > pl.col("time").min().over("user"))
    )
    if inputs.listed is not None:
        return training.join(inputs.listed, on=EVENT, how="semi").select(EVENT)
    return spread(training, inputs.own_options(CotExamplesOptions).examples)


def spread(candidates: pl.DataFrame, number: int) -> pl.DataFrame:
    """Choose events, half of each label, spread over users, items and months; the module docstring says how.

    Args:
        candidates: user, item, time and label (0 or 1).
        number: Maximum number of events.

    Returns:
        user, item, time.
    """
    by_label = [candidates.filter(pl.col("label") == label) for label in (0, 1)]
    half = min(number // 2, *(len(part) for part in by_label))
    return pl.concat([_in_order(part).head(half) for part in by_label]).select(EVENT)


def _in_order(events: pl.DataFrame) -> pl.DataFrame:
    """Return events of one label in the order in which they are taken."""
    rank = pl.int_range(pl.len())
    hashed = events.with_columns(event_hashes(events), pl.col("time").dt.truncate("1mo").alias("month"))
    users = hashed.sort("hash", *EVENT).with_columns(rank.over("user").alias("of_user"))
    items = users.sort("of_user", "hash", *EVENT).with_columns(rank.over("item").alias("of_item"))
    levels = items.with_columns(pl.max_horizontal("of_user", "of_item").alias("level")).sort("level", "hash", *EVENT)
    months = levels.with_columns(rank.over("level", "month").alias("of_month"))
    return months.sort("level", "of_month", "hash", *EVENT)


def event_hashes(events: pl.DataFrame) -> pl.Series:
    """Hash every event by its user, item and time; the result is the same on every machine.

    Args:
        events: user, item, time.

    Returns:
        [n] UInt64, named `hash`.
    """
    hashes = events["time"].to_physical().to_numpy().astype(np.uint64)
    for name in ("user", "item"):
        ids, place = np.unique(events[name].to_numpy().astype(str), return_inverse=True)
        digests = (hashlib.blake2b(one.encode("utf-8", "surrogatepass"), digest_size=8).digest() for one in ids)
        of_ids = np.fromiter((int.from_bytes(digest, "little") for digest in digests), np.uint64, len(ids))
        hashes = _mixed(hashes) + of_ids[place]
    return pl.Series("hash", _mixed(hashes), dtype=pl.UInt64)


def _mixed(values: np.ndarray) -> np.ndarray:
    """Spread bits over all 64 (the finaliser of SplitMix64); uint64 wraps around."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
