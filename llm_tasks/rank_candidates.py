"""Ranking of candidates: which of some items a user chose next, and the topics the user is interested in.

Paper:     Liu et al. 2024, "RecPrompt" (arXiv 2312.10463); also the task of PO4ISR (Sun et al. 2024, 2312.07552).
Idea:      a prompt that ranks well and names the right topics is a better prompt; its rows show what was wanted.
Consumes:  positive training events: the newest `history_length` strictly earlier events of the user, the item itself,
           and `candidates` - 1 other items, each with a strictly earlier event and none of the user's earlier ones.
Produces:  topics and a ranking per event; as_of = the event's time, because the wanted item is among the candidates.
Cost:      1 call per event, `events` events, about 300 tokens in, 60 out.
Relations: the task for which recprompt, po4isr and gepa optimise prompts by MRR or NDCG@k; no arm reads its vectors.
Example:   knowflow plan --task rank_candidates, then knowflow prompts optimise rank_candidates
"""

from collections import Counter
from collections.abc import Iterator

import numpy as np
import polars as pl
from pydantic import Field

from llm_tasks.cot_examples import event_hashes
from llm_tasks.pipeline.history import in_history, show_history
from llm_tasks.pipeline.ranking import RankedRow, Ranking
from llm_tasks.pipeline.task import Inputs, Row, TaskOptions, llm_task
from sources.events import histories
from sources.tables import event_id

SHOWN_TOPICS = 5
"""How many categories of a history count as its topics; the answer names as many at most."""


class RankCandidatesOptions(TaskOptions):
    """Options of rank_candidates."""

    history_length: int = Field(default=10, ge=1)
    """How many of the newest events of a user's history a prompt shows."""
    candidates: int = Field(default=10, ge=2)
    """How many items to rank: the chosen one and others."""
    events: int = Field(default=300, ge=1)
    """How many training events to ask about."""


@llm_task(entity="event", prompt="rank_candidates", opt_in=True, options=RankCandidatesOptions)
def rank_candidates(inputs: Inputs) -> Iterator[Row]:
    """Yield one row per drawn training event."""
    options = inputs.own_options(RankCandidatesOptions)
    for ranked in ranked_rows(inputs, "train", options.events, 0):
        yield ranked.row


def ranked_rows(inputs: Inputs, part: str, number: int, seed: int) -> Iterator[RankedRow]:
    """Yield rows about positive events of a part with something strictly before them, in an order drawn by the seed.

    Histories show training events only, so that a validation row shows no outcome of another one.

    Args:
        inputs: Data, domain and options.
        part: `train` or `validation`.
        number: How many rows, at most.
        seed: Seed of the order, the other candidates and their places.
    """
    options = inputs.own_options(RankCandidatesOptions)
    drawn = drawn_events(inputs, part, number, seed)
    log = inputs.dataset.events.join(drawn, on="user", how="semi", maintain_order="left")
    shown = (in_history(log, inputs.domain) & (log["part"] == "train")).to_numpy()
    past = histories(log, options.history_length, shown)  # [n, H], -1 = none
    place_of = {event: place for place, event in enumerate(log.select("user", "item", "time").iter_rows())}
    items = {item["item"]: item for item in inputs.dataset.items.iter_rows(named=True)}
    names = {item: inputs.domain.item_name(row) for item, row in items.items()}
    known = _first_events(inputs.dataset.events)
    for user, item, time in drawn.iter_rows():
        earlier = past[place_of[user, item, time]]
        seen = log[earlier[earlier >= 0].tolist()]
        had = set(log.filter((pl.col("user") == user) & (pl.col("time") <= time))["item"])
        free = known.filter((pl.col("time") < time) & ~pl.col("item").is_in(had))["item"].to_list()
        if seen.is_empty() or len(free) < options.candidates - 1:
            continue
        rng = np.random.default_rng([seed, int(time.timestamp()), len(free)])
        others = rng.choice(len(free), options.candidates - 1, replace=False)
        listed = [item, *(free[one] for one in others)]
        listed = [listed[one] for one in rng.permutation(len(listed))]
        of_seen = [items[one] for one in seen["item"]]
        topics = Counter(one for row in of_seen for field in inputs.dataset.category_fields for one in row[field] or ())
        common = sorted(topics, key=lambda one: (-topics[one], one))[:SHOWN_TOPICS]
        lines = "\n".join(f"{place}. {names[one]}" for place, one in enumerate(listed, 1))
        variables = {"history": show_history(seen, names, inputs.domain), "candidates": lines}
        row = Row(event_id(user, item), time, variables, seen_until=time)
        yield RankedRow(row, listed.index(item) + 1, len(listed), tuple(common))


def drawn_events(inputs: Inputs, part: str, number: int, seed: int) -> pl.DataFrame:
    """Draw positive events of a part: user, item, time, in the drawn order."""
    of_part = inputs.dataset.events.filter(
        (pl.col("part") == part) & (pl.col("label") > 0) & (pl.col("time") > pl.col("time").min().over("user"))
    ).select("user", "item", "time")
    if inputs.listed is not None:
        of_part = of_part.join(inputs.listed, on=["user", "item", "time"], how="semi", maintain_order="left")
    hashed = of_part.with_columns(event_hashes(of_part)).sort("hash", "user", "item", "time").drop("hash")
    return hashed[np.random.default_rng(seed).permutation(len(hashed))[:number].tolist()]


def _first_events(events: pl.DataFrame) -> pl.DataFrame:
    """Return each item with its first training event: item, time, sorted by item."""
    trained = events.filter(pl.col("part") == "train")
    return trained.group_by("item").agg(pl.col("time").min()).sort("item")


RANKING = Ranking("rank_candidates", ranked_rows, lambda said: said["ranking"], lambda said: said["topics"])
