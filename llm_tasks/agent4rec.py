"""Agent4Rec: agents act as users and browse a recommender's pages; what they do is a simulation, not data.

Paper:     Zhang et al. 2024, "On Generative Agents in Recommendation" (SIGIR, arXiv 2310.10108), section 2.
Idea:      an agent has a profile (tastes in words, and three traits counted from the log), a memory of what it saw and
           felt, and acts page by page: it views, rates, and continues or leaves.
Formula:   over the training events of user u, with R_i the mean rating of item i: activity = |I_u|;
           conformity = mean over I_u of (r_ui - R_i)^2 (small: rates as others do); diversity = number of categories
           in I_u; each trait is given as one of three tiers, by the thirds of all users.
Consumes:  training events with ratings; the pages of any recommender or kept model (`simulate`).
Produces:  one text per agent, its tastes; as_of = the newest training event, because traits use others' ratings.
           `simulate` returns synthetic events, marked as such and kept apart from real events.
Cost:      1 call per agent; in a simulation 1 call per agent and page, about 400 tokens in, 60 out.
Relations: kar_user reasons over the same history for a click model; here the text drives an agent.
Example:   knowflow plan --task agent4rec, then knowflow simulate knowledge
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl
from pydantic import Field

from llm_tasks.pipeline.ask import Asker
from llm_tasks.pipeline.history import events_shown, show_history
from llm_tasks.pipeline.parse import ParseFault, Parser
from llm_tasks.pipeline.task import Inputs, Row, TaskOptions, llm_task

PAGE = "agent4rec_page"
TRAITS = ("activity", "conformity", "diversity")
TIERS = ("low", "medium", "high")
MEMORY = 6
"""How many of its newest pages an agent remembers."""
Pages = Callable[[str, frozenset[str]], Sequence[str]]
"""Takes a user and the items already shown to them; returns the items of the next page, best first."""


class Agent4RecOptions(TaskOptions):
    """Options of agent4rec."""

    agents: int = Field(default=20, ge=1)
    """How many users get an agent: those with the most training events; ties go to the lowest id."""
    history_length: int = Field(default=20, ge=1)
    """How many of a user's newest training events the prompt for the agent's tastes shows."""


@llm_task(
    entity="agent", prompt="agent4rec", creates=True, options=Agent4RecOptions, lexical_space="item_facts", opt_in=True
)
def agent4rec(inputs: Inputs) -> Iterator[Row]:
    """Yield one row per agent; an agent has the id of its user."""
    options = inputs.own_options(Agent4RecOptions)
    training = inputs.dataset.events.filter(pl.col("part") == "train")
    if training.is_empty():
        return
    newest = training["time"][-1]  # events are sorted by time
    shown_ones = events_shown(training, inputs.domain)
    tiers = traits(training, inputs.dataset.items, inputs.dataset.category_fields)
    names = {item["item"]: inputs.domain.item_name(item) for item in inputs.dataset.items.iter_rows(named=True)}
    counts = training.group_by("user").len().sort("len", "user", descending=[True, False])
    for user in counts["user"].head(options.agents):
        if inputs.wanted(user):
            seen = shown_ones.filter(pl.col("user") == user).tail(options.history_length)
            if seen.is_empty():
                continue
            shown = {"input": show_history(seen, names, inputs.domain), "traits": told(tiers[user])}
            yield Row(user, newest, shown, seen_until=newest)


def traits(events: pl.DataFrame, items: pl.DataFrame, categories: Sequence[str]) -> dict[str, dict[str, str]]:
    """Count the traits of every user and sort each into three tiers.

    Args:
        events: user, item and rating.
        items: item, and its lists of categories.
        categories: Names of these lists.

    Returns:
        User -> trait -> low, medium or high; high conformity means a small distance from others' ratings.
    """
    listed = pl.concat_list(*categories) if categories else pl.lit([], dtype=pl.List(pl.String))
    rated = events.join(items.select("item", kinds=listed), on="item", how="left")
    apart = (pl.col("rating") - pl.col("rating").mean().over("item")) ** 2
    counted = (
        rated.with_columns(apart=apart)
        .group_by("user")
        .agg(
            activity=pl.len().cast(pl.Float64),
            conformity=-pl.col("apart").mean().fill_null(0.0),
            diversity=pl.col("kinds").explode().n_unique().cast(pl.Float64),
        )
        .sort("user")
    )
    place = {name: np.searchsorted(np.quantile(counted[name], [1 / 3, 2 / 3]), counted[name]) for name in TRAITS}
    return {
        user: {name: TIERS[place[name][row]] for name in TRAITS} for row, user in enumerate(counted["user"].to_list())
    }


def told(tiers: Mapping[str, str]) -> str:
    """Write traits as a prompt shows them.

    Example:
        >>> told({"activity": "low", "conformity": "high", "diversity": "medium"})
        'activity: low; conformity: high; diversity: medium'
    """
    return "; ".join(f"{name}: {tiers[name]}" for name in TRAITS)


@dataclass(frozen=True)
class SyntheticEvent:
    """What an agent did; no real user did it."""

    agent: str
    """The user that the agent simulates."""
    item: str
    """The item it viewed."""
    rating: float
    """The rating it gave."""
    page: int
    """Number of the page, from 1."""


@dataclass(frozen=True)
class Simulation:
    """The result of a simulation."""

    events: tuple[SyntheticEvent, ...]
    """What agents viewed and rated, page by page."""
    satisfaction: Mapping[str, float]
    """Agent -> its mean satisfaction over its pages, from 1 to 10."""
    pages: Mapping[str, int]
    """Agent -> how many pages it looked at."""
    shown: Mapping[str, int]
    """Agent -> how many items stood on these pages."""
    lost: Mapping[str, int] = field(default_factory=dict)
    """Reason why an answer or a part of it was dropped -> how often."""

    def table(self) -> pl.DataFrame:
        """Return the events as a table; ids are prefixed with `agent/`, and every row is marked as synthetic."""
        rows = [(f"agent/{one.agent}", one.item, one.rating, one.page, True) for one in self.events]
        numbers = {"rating": pl.Float64, "page": pl.Int64, "synthetic": pl.Boolean}
        columns = {"agent": pl.String, "item": pl.String, **numbers}
        return pl.DataFrame(rows, schema=columns, orient="row")


def simulate(
    asker: Asker,
    profiles: Mapping[str, Mapping[str, str]],
    pages: Pages,
    names: Mapping[str, str],
    most: int = 5,
) -> Simulation:
    """Let agents browse pages, one page each per round, until they leave.

    Args:
        asker: Asks in rounds; a simulation that is started again pays for no answer twice.
        profiles: Agent -> tastes, activity, conformity and diversity, in words.
        pages: Chooses what an agent is shown next.
        names: Item -> its name on a page.
        most: Maximum number of pages.
    """
    memory: dict[str, list[str]] = {agent: [] for agent in profiles}
    shown: dict[str, frozenset[str]] = dict.fromkeys(profiles, frozenset())
    felt: dict[str, list[float]] = {agent: [] for agent in profiles}
    looked_at = dict.fromkeys(profiles, 0)
    events: list[SyntheticEvent] = []
    lost: Counter[str] = Counter()
    there = list(profiles)
    for number in range(1, most + 1):
        page = {agent: items for agent in there if (items := list(pages(agent, shown[agent])))}
        there = list(page)
        questions = [asker.question(PAGE, _seen(profiles[one], memory[one], page[one], names)) for one in there]
        answers = asker.ask(questions)
        staying = []
        for agent, question, answer in zip(there, questions, answers, strict=True):
            shown[agent] |= set(page[agent])
            said = _read(question.request.schema, answer.text)
            if said is None:
                lost["answers that could not be read"] += 1
                continue
            watched = dict(_watched(said, page[agent], names, lost))
            events += [SyntheticEvent(agent, item, rating, number) for item, rating in watched.items()]
            felt[agent].append(float(said["satisfaction"]))
            looked_at[agent] += len(page[agent])
            memory[agent].append(_remembered(number, watched, names, said["feeling"]))
            if said["next"]:
                staying.append(agent)
        there = staying
        if not there:
            break
    means = {agent: float(np.mean(values)) for agent, values in felt.items() if values}
    return Simulation(
        tuple(events), means, {agent: len(values) for agent, values in felt.items()}, looked_at, dict(lost)
    )


def _read(schema: Mapping[str, Any], text: str | None) -> dict[str, Any] | None:
    """Return the fields of an answer; None if there is no answer or it cannot be parsed."""
    try:
        said = Parser(schema)(text or "")
    except ParseFault:
        return None
    return said if isinstance(said, dict) else None


def _seen(profile: Mapping[str, str], memory: Sequence[str], page: Sequence[str], names: Mapping[str, str]) -> dict:
    return {
        "profile": f"{profile['tastes']}\n{told(profile)}",
        "memory": "\n".join(memory[-MEMORY:]) or "nothing yet",
        "page": "\n".join(f"- {names[item]}" for item in page),
    }


def _watched(
    said: Mapping[str, Any], page: Sequence[str], names: Mapping[str, str], lost: Counter[str]
) -> Iterator[tuple[str, float]]:
    """Yield the viewed items of the page with their ratings; items that are not on the page are dropped.

    A schema cannot say that two lists are equally long: what stands beyond the shorter one is dropped and counted.
    """
    places = {names[item]: item for item in page}
    both = min(len(said["watch"]), len(said["ratings"]))
    if unpaired := max(len(said["watch"]), len(said["ratings"])) - both:
        lost["titles without a rating, or ratings without a title"] += unpaired
    for named, rating in zip(said["watch"][:both], said["ratings"][:both], strict=True):
        if named not in places:
            lost["items that are not on the page"] += 1
            continue
        try:
            yield places[named], min(max(float(rating), 0.5), 5.0)
        except ValueError:
            lost["ratings that are no number"] += 1


def _remembered(number: int, watched: Mapping[str, float], names: Mapping[str, str], feeling: str) -> str:
    seen = ", ".join(f"{names[item]} ({rating:g})" for item, rating in watched.items()) or "nothing"
    return f"page {number}: watched {seen}; felt: {json.dumps(feeling, ensure_ascii=False)}"


def rating_distance(simulated: Sequence[float], real: Sequence[float]) -> float:
    """Return the total variation distance of two rating distributions, rounded to halves: 0 = alike, 1 = disjoint.

    Example:
        >>> rating_distance([4, 4, 5, 5], [4, 4, 4, 5])
        0.25
    """
    one, other = (Counter(round(2 * value) / 2 for value in values) for values in (simulated, real))
    return 0.5 * sum(abs(one[value] / len(simulated) - other[value] / len(real)) for value in {*one, *other})
