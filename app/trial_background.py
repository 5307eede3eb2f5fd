"""What measures of texts know besides a trial: what each version asks for, the catalogue's facts, histories."""

from collections.abc import Mapping, Sequence
from datetime import datetime

import polars as pl

from app.config import Config
from app.trial_plan import TrialPlan
from evals.prompts.text.background import Background, Past
from evals.prompts.text.titles import Titles
from evals.trial import Trial, TrialRow
from llm_tasks.pipeline.catalogue import find_tasks
from llm_tasks.pipeline.task import Inputs, Task, TaskOptions
from llm_tasks.pipeline.workplace import Workplace
from prompts.domain import Domain
from prompts.prompt import Prompt
from sources.tables import Dataset, event_of

FACTORS = ("item_factors", "user_factors")


def background_of(config: Config, plan: TrialPlan, trial: Trial) -> Background:
    """Gather what the measures of the texts of a trial need."""
    at = plan.workplace
    past = trial.entity in ("user", "event")
    return Background(
        asked={prompt.name: asked_by(prompt, at.domain) for prompt in plan.prompts},
        objects=frozenset(prompt.name for prompt in plan.prompts if _fields(prompt)),
        facts=facts_of(config, at, trial.entity),
        titles=titles_of(at.dataset, at.domain) if past else None,
        pasts=pasts_of(at.dataset, trial.rows, trial.entity) if past else {},
    )


def asked_by(prompt: Prompt, domain: Domain) -> tuple[str, ...]:
    """Return what a prompt asks for: the fields of its object, else the aspects of the domain that it lists."""
    if fields := _fields(prompt):
        return fields
    text = "\n".join(part for _, part in prompt.parts)
    return tuple(aspect for name in FACTORS if f"domain.{name}" in text for aspect in getattr(domain, name))


def _fields(prompt: Prompt) -> tuple[str, ...]:
    return tuple(prompt.front.answer_schema.get("fields", ()))


def facts_of(config: Config, at: Workplace, entity: str) -> dict[str, str]:
    """Return what the catalogue says of every entity of a kind: the texts of the first technique that asks no model.

    Returns:
        Entity -> text; empty if no technique describes this kind.
    """
    tasks = [one for one in find_tasks(config.plugin_folders).values() if _states_facts(one, entity)]
    inputs = Inputs(at.dataset, at.domain, TaskOptions())
    return {row.entity: str(row.variables.get("text", "")) for task in tasks[:1] for row in task.rows(inputs)}


def _states_facts(task: Task, entity: str) -> bool:
    return (
        task.prompt is None
        and task.entity == entity
        and not (task.needs or task.opt_in or task.options is not TaskOptions)
    )


def titles_of(dataset: Dataset, domain: Domain) -> Titles:
    """Return what finds the items of the catalogue in a text, by title and by their name in a history."""
    rows = dataset.items.iter_rows(named=True)
    return Titles({row["item"]: [name for name in (row["title"], domain.item_name(row)) if name] for row in rows})


def pasts_of(dataset: Dataset, rows: Sequence[TrialRow], entity: str) -> dict[str, Past]:
    """Return what each row about a user or an event may name: what the user met until `as_of`, and what came later."""
    firsts = dict(dataset.events.group_by("item").agg(pl.col("time").min()).iter_rows())
    users = {row.row: event_of(row.entity)[0] if entity == "event" else row.entity for row in rows}
    logs = dataset.events.filter(pl.col("user").is_in(pl.Series(sorted(set(users.values()))).implode()))
    of_user = {
        str(user): list(log.iter_rows()) for (user,), log in logs.select("user", "item", "time").group_by("user")
    }
    return {row.row: _past([(i, t) for _, i, t in of_user.get(users[row.row], [])], firsts, row.as_of) for row in rows}


def _past(log: Sequence[tuple[str, datetime]], firsts: Mapping[str, datetime], as_of: datetime) -> Past:
    seen = frozenset(item for item, time in log if time <= as_of)
    unmet = frozenset(item for item, first in firsts.items() if first > as_of)
    return Past(seen, (unmet | frozenset(item for item, _ in log)) - seen)
