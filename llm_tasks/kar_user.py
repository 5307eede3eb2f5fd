"""KAR user preferences: what a large language model infers from a user's history.

Paper:     Xi et al. 2023, "Towards Open-World Recommendation with Knowledge Augmentation from LLMs", section 4.1.
Idea:      reasoning over the factors that matter in the domain, grounded in the rated history.
Consumes:  item names, and the newest `history_length` events of a user up to the snapshot, oldest first, with ratings.
Produces:  one text and its vectors per user and snapshot; as_of = the newest event shown.
Cost:      1 call per snapshot, about 330 tokens in, 130 out; a new event changes only this user's prompts.
Relations: kar_item is its other half; its lexical vectors are in kar_item's space, so that both can be compared.
Example:   knowflow plan --task kar_user
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Annotated

from pydantic import Field

from llm_tasks.pipeline.arm import Arm, Use
from llm_tasks.pipeline.history import SEPARATOR, event_texts, events_shown
from llm_tasks.pipeline.task import Inputs, Row, TaskOptions, llm_task

KAR = Arm(
    "kar",
    "KAR's hybrid experts on user and item answers, as the paper has them (dense vectors, mean pooling).",
    (Use("hybrid_experts", ("kar_user/dense", "kar_item/dense")),),
)


class KarUserOptions(TaskOptions):
    """Options of kar_user."""

    history_length: int = Field(default=20, ge=1)
    """How many of the newest events of a user's history a prompt shows."""
    snapshots: tuple[Annotated[float, Field(gt=0, le=1)], ...] = Field(default=(1.0,), min_length=1)
    """Shares of a user's log (by position) at which to ask about the user; 1.0 is today."""


@llm_task(entity="user", prompt="kar_user", lexical_space="kar_item", options=KarUserOptions)
def kar_user(inputs: Inputs) -> Iterator[Row]:
    """Yield one row per user and snapshot; a snapshot without any event is left out."""
    options = inputs.own_options(KarUserOptions)
    names = {item["item"]: inputs.domain.item_name(item) for item in inputs.dataset.items.iter_rows(named=True)}
    log = events_shown(inputs.dataset.events, inputs.domain).sort("user", "position")
    texts, times, begin = event_texts(log, names, inputs.domain), log["time"], 0
    for user, events in log.group_by("user", maintain_order=True).len().iter_rows():
        for position in snapshot_positions(events, options.snapshots) if inputs.wanted(user) else ():
            end = begin + position
            yield snapshot(user, texts[max(begin, end - options.history_length) : end], times[end - 1])
        begin += events


def snapshot(user: str, seen: Sequence[str], newest: datetime) -> Row:
    """Return one row about a user: the events shown, oldest first; if that is too long, the oldest can be dropped.

    Args:
        user: Id of the user.
        seen: At least one event of the user, as a history shows it, by time.
        newest: Time of the last one.
    """
    return Row(
        user,
        newest,
        {"input": SEPARATOR.join(seen)},
        seen_until=newest,
        shorter=lambda: snapshot(user, seen[1:], newest) if len(seen) > 1 else None,
    )


def snapshot_positions(events: int, shares: tuple[float, ...]) -> list[int]:
    """Turn shares of a log into event counts from its start, rounded down, without duplicates and zeros.

    Example:
        >>> snapshot_positions(232, (0.4, 0.8))
        [92, 185]
    """
    # A product such as 0.7 * 10 must not become 6 because of binary rounding.
    return sorted({int(share * events + 1e-9) for share in shares} - {0})
