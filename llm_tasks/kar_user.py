"""KAR user preferences: what a large language model infers from a user's history.

Paper:     Xi et al. 2023, "Towards Open-World Recommendation with Knowledge Augmentation from LLMs", section 4.1.
Idea:      reasoning over the factors that matter in the domain, grounded in the rated history.
Consumes:  item names, and the newest `history_length` events of a user up to the snapshot, oldest first, with ratings.
Produces:  one text and its vectors per user and snapshot; as_of = the newest event shown.
Cost:      1 call per snapshot, about 330 tokens in, 130 out; a new event changes only this user's prompts.
Relations: kar_item is its other half; its lexical vectors are in kar_item's space, so that both can be compared.
Example:   knowflow plan --task kar_user
"""

from typing import Annotated

from pydantic import Field

from llm_tasks.pipeline.arm import Arm, Use
from llm_tasks.pipeline.history import SEPARATOR, histories_shown
from llm_tasks.pipeline.row_table import RowTable
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


@llm_task(entity="user", prompt="kar_user", lexical_space="kar_item", options=KarUserOptions, own_data=True)
def kar_user(inputs: Inputs) -> RowTable:
    """Return one row per user and snapshot; a snapshot without any event is left out."""
    options = inputs.own_options(KarUserOptions)
    names = {item["item"]: inputs.domain.item_name(item) for item in inputs.dataset.items.iter_rows(named=True)}
    log = histories_shown(inputs.dataset.events, names, inputs.domain)
    positions = {count: snapshot_positions(count, options.snapshots) for count in set(log.counts)}
    users, spans, begin = list[str](), list[tuple[int, int]](), 0
    for user, count in zip(log.users, log.counts, strict=True):
        for end in positions[count] if inputs.wanted(user) else ():
            users.append(user)
            spans.append((begin + max(0, end - options.history_length), begin + end))
        begin += count
    newest = log.times.gather([end - 1 for _, end in spans]).to_list()

    def shown(number: int, dropped: int = 0) -> Row | None:
        """Return a row without its oldest events; None if no event is left."""
        begin, end = spans[number][0] + dropped, spans[number][1]
        if begin == end:
            return None
        seen = {"input": SEPARATOR.join(log.texts[begin:end])}
        time = newest[number]
        return Row(users[number], time, seen, seen_until=time, shorter=lambda: shown(number, dropped + 1))

    texts = [SEPARATOR.join(log.texts[begin:end]) for begin, end in spans]
    return RowTable(users, newest, newest, {"input": texts}, shorter=lambda number: shown(number, 1))


def snapshot_positions(events: int, shares: tuple[float, ...]) -> list[int]:
    """Turn shares of a log into event counts from its start, rounded down, without duplicates and zeros.

    Example:
        >>> snapshot_positions(232, (0.4, 0.8))
        [92, 185]
    """
    # A product such as 0.7 * 10 must not become 6 because of binary rounding.
    return sorted({int(share * events + 1e-9) for share in shares} - {0})
