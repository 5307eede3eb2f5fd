"""RecGen's rows: would this user like this item? Made only from training events, each with its strict history.

Paper: Sun et al. 2024, "Large Language Models Enhanced Collaborative Filtering" (LLM-CF), the tuning of RecGen.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from llm_tasks.pipeline.history import in_history
from prompts.domain import Domain
from prompts.library import SHIPPED, Library, choose_prompt
from prompts.prompt import Prompt
from sources.events import histories
from sources.tables import Dataset
from tuning.conversations import Conversation

PROMPT = "recgen"


@dataclass(frozen=True)
class LearnableEvents:
    """The training events that become rows."""

    events: pl.DataFrame
    """The canonical training events."""
    history: np.ndarray
    """[N, history_length] int32: rows of `events`, oldest first; -1 where there are fewer."""
    learnt: np.ndarray
    """[n] int64: rows of `events` that may be learned, in the order in which they are used."""
    kept: np.ndarray
    """[m] int64: the others, which are never learned, in random order."""


def choose_rows(dataset: Dataset, domain: Domain, share: float, length: int, seed: int) -> LearnableEvents:
    """Choose a random share of the training events that have a history.

    Args:
        dataset: The user's data.
        domain: Says which events a history shows.
        share: Share of the training events with a history, rounded down.
        length: Maximum events of a history.
        seed: The same seed and data give the same rows.
    """
    events = dataset.events.filter(pl.col("part") == "train")
    # Events strictly before a training event are training events too, so the other parts are not needed.
    history = histories(events, length, in_history(events, domain).to_numpy())
    order = np.random.default_rng(seed).permutation(np.flatnonzero(history[:, -1] >= 0))
    count = int(len(order) * share + 1e-9)
    return LearnableEvents(events, history, order[:count], order[count:])


def write_rows(
    choice: LearnableEvents, rows: np.ndarray, dataset: Dataset, domain: Domain, library: Library = SHIPPED
) -> list[Conversation]:
    """Write events as conversations: history and target, and `yes` if the label is 1.

    Args:
        choice: Result of `choose_rows`.
        rows: [n] rows of `choice.events`.
        dataset: The user's data.
        domain: The words of the domain.
        library: Where the prompt is looked for.
    """
    prompt = choose_prompt(PROMPT, library=library)
    items = choice.events["item"].to_list()
    ratings, labels = choice.events["rating"].to_list(), choice.events["label"].to_list()
    seen = choice.history[rows]  # [n, history_length]
    needed = {items[place] for place in (*rows.tolist(), *seen[seen >= 0].tolist())}
    shown = dataset.items.filter(pl.col("item").is_in(pl.Series(sorted(needed), dtype=pl.String).implode()))
    names = {item["item"]: domain.item_name(item) for item in shown.iter_rows(named=True)}
    targets = {item["item"]: domain.item_description(item) for item in shown.iter_rows(named=True)}
    found: list[Conversation] = []
    for row, before in zip(rows.tolist(), seen.tolist(), strict=True):
        seen_before = [place for place in before if place >= 0]
        history = "; ".join(domain.event(names[items[p]], ratings[p], labels[p]) for p in seen_before)
        messages = prompt.render({"history": history, "target": targets[items[row]]}, domain)
        found.append((*messages, {"role": "assistant", "content": answers(prompt)[0 if labels[row] else 1]}))
    return found


def answers(prompt: Prompt | None = None) -> Sequence[str]:
    """Return the two answers of the prompt: the first one means that the user likes the item.

    Example:
        >>> answers()
        ['yes', 'no']
    """
    return (prompt or choose_prompt(PROMPT)).front.answer_schema["choices"]
