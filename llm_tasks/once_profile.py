"""ONCE user profiler: topics and regions that a user cares about, each with its own vectors.

Paper:     Liu et al. 2024, "ONCE: Boosting Content-based Recommendation with Both Open- and Closed-source Large
           Language Models" (WSDM, arXiv 2305.06566), section 3.2 (GENRE): user profiler.
Idea:      a model reads a user's history, every item by its summary, and names topics and regions of interest.
Formula:   vector of a part = mean of the vectors of its texts (the paper pools topics and regions into an interest
           vector next to the user's own).
Consumes:  the newest `history_length` events of a user up to the snapshot, oldest first; once_summary where there is
           one.
Produces:  one text per user and snapshot, and two sets: once_profile.topics and once_profile.regions; as_of = the
           newest event shown, or the newest that the summaries have seen if that is later.
Cost:      1 call per snapshot, about 500 tokens in, 60 out; a new event changes only this user's prompts.
Relations: kar_user reasons in prose over the same history; once_summary writes the summaries that it shows.
Example:   knowflow plan --task once_profile
"""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import Field

from llm_tasks.kar_user import snapshot_positions
from llm_tasks.pipeline.arm import COMPARED, Arm, Use
from llm_tasks.pipeline.history import events_shown
from llm_tasks.pipeline.task import Inputs, Parts, Read, Row, TaskOptions, answer_text, llm_task

ONCE = Arm(
    "once",
    "ONCE's summaries of items as similarity to the history, beside the topics and regions of the user's profile.",
    (
        Use("similarity", (COMPARED, "once_summary/dense")),
        Use("concat", ("once_profile.topics/dense", "once_profile.regions/dense")),
    ),
)


class OnceProfileOptions(TaskOptions):
    """Options of once_profile."""

    history_length: int = Field(default=20, ge=1)
    """How many of the newest events of a user's history a prompt shows."""
    snapshots: tuple[Annotated[float, Field(gt=0, le=1)], ...] = Field(default=(1.0,), min_length=1)
    """Shares of a user's log (by position) at which to ask about the user; 1.0 is today."""


def profile_parts(answer: Mapping[str, Any]) -> Parts:
    """Split a profile into the whole text, its topics and its regions.

    Example:
        >>> profile_parts({"topics": ["heists", "courts"], "regions": ["France"]}).text
        'topics: heists, courts. regions: France.'
    """
    return Parts(answer_text(dict(answer)), {"topics": answer["topics"], "regions": answer["regions"]})


@llm_task(
    entity="user",
    prompt="once_profile",
    encode=profile_parts,
    parts=("topics", "regions"),
    needs=("once_summary",),
    options=OnceProfileOptions,
    lexical_space="item_facts",
    opt_in=True,
)
def once_profile(inputs: Inputs) -> Iterator[Row]:
    """Yield one row per user and snapshot; a snapshot without any event is left out."""
    options, summaries = inputs.own_options(OnceProfileOptions), inputs.answers("once_summary")
    names = {item["item"]: inputs.domain.item_name(item) for item in inputs.dataset.items.iter_rows(named=True)}
    users = events_shown(inputs.dataset.events, inputs.domain).sort("user", "position")
    for (user,), log in users.group_by("user", maintain_order=True):
        if not inputs.wanted(str(user)):
            continue
        for position in snapshot_positions(len(log), options.snapshots):
            seen = log.head(position).tail(options.history_length).to_dicts()
            known = {one["item"]: summaries.newest(one["item"]) for one in seen}
            yield profile(str(user), seen, names, known, inputs)


def profile(
    user: str, seen: list[dict[str, Any]], names: Mapping[str, str], known: Mapping[str, Read | None], inputs: Inputs
) -> Row:
    """Return one row about a user; if it is too long, the oldest event can be dropped.

    Args:
        user: Id of the user.
        seen: item, time, rating and label of at least one event, oldest first.
        names: Item -> its name in a history.
        known: Item -> its summary, or None.
        inputs: Provides the words of the domain.
    """
    lines = []
    for event in seen:
        called = inputs.domain.event(names[event["item"]], event["rating"], event["label"])
        summary = known[event["item"]]
        lines.append(called if summary is None else f"{called} - {summary.text}")
    return Row(
        user,
        seen[-1]["time"],
        {"input": "\n".join(lines)},
        seen_until=seen[-1]["time"],
        reads=[summary for summary in (known[event["item"]] for event in seen) if summary is not None],
        shorter=lambda: profile(user, seen[1:], names, known, inputs) if len(seen) > 1 else None,
    )
