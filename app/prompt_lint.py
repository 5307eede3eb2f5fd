"""Checks the prompts of a config against the rows that its data gives and the model that would answer."""

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from app.config import Config
from app.prompt_files import prompt_named, versions_of
from app.workplace import open_workplace
from base.faults import WrongUse
from llm_tasks.pipeline.catalogue import find_tasks
from llm_tasks.pipeline.plan import known_after_reads
from llm_tasks.pipeline.slices import Slice
from llm_tasks.pipeline.task import Task
from llm_tasks.pipeline.workplace import Workplace
from prompts.library import find_prompts
from prompts.lint import Checked, Finding, lint
from prompts.listing import running, split_name
from prompts.prompt import Prompt

SAMPLE = 200
"""Rows of a technique that are rendered."""
SEED = 0


@dataclass(frozen=True)
class Linted:
    """One prompt and what is wrong with it."""

    prompt: Prompt
    """The prompt."""
    findings: tuple[Finding, ...]
    """What is wrong; empty if nothing is."""
    rows: int
    """How many rows there were; 0 if the data gives none."""
    no_rows: tuple[str, ...]
    """Why techniques could make no row of this data, one reason each."""
    counted: str
    """How tokens were counted."""
    own_tokens: tuple[int, int] | None
    """Tokens of its own text: before the first data, which all rows share, and after it; None if it cannot be
    rendered."""
    longest: int | None
    """Tokens of the longest of the rows; None if none could be rendered."""

    @property
    def faults(self) -> int:
        """Return the number of faults."""
        return sum(one.level == "fault" for one in self.findings)


def lint_prompts(config: Config, names: Sequence[str] = ()) -> list[Linted]:
    """Check prompts by their names (`kar_item.v2`), all versions of tasks (`kar_item`), or all that are not retired.

    Raises:
        WrongUse: There is no such prompt, or the data, domain or engine cannot be used.
    """
    chosen = _chosen(config, names)
    workplace = open_workplace(config)
    by_task: dict[str, list[Prompt]] = {}
    for prompt in chosen:
        by_task.setdefault(prompt.front.task, []).append(prompt)
    techniques = find_tasks(config.plugin_folders).values()
    found: list[Linted] = []
    for task, prompts in by_task.items():
        rows, reasons = _rows_of([one for one in techniques if one.prompt == task], workplace)
        for prompt in prompts:
            checked = _checked(prompt, rows, workplace)
            findings = tuple(lint(checked))
            whole = not any(one.rule == "unknown_variables" for one in findings)
            longest = checked.extremes[1] if whole and checked.extremes else None
            own, counted = checked.own_tokens if whole else None, workplace.engine.token_counter
            found.append(Linted(prompt, findings, len(rows), reasons, counted, own, longest))
    return found


def _rows_of(techniques: Sequence[Task], workplace: Workplace) -> tuple[list[Mapping[str, Any]], tuple[str, ...]]:
    """Return sampled rows of the techniques that ask with a prompt, and why others have none."""
    rows: list[Mapping[str, Any]] = []
    reasons: list[str] = []
    for technique in techniques:
        try:
            rows += sample_rows(technique, workplace)
        except WrongUse as why:
            reasons.append(f"{technique.name} is checked without rows: {str(why).splitlines()[0]}")
    return rows, tuple(reasons)


def _chosen(config: Config, names: Sequence[str]) -> list[Prompt]:
    if not names:
        versions = [one.prompt for one in versions_of(config) if not one.shadowed]
        return [one for one in versions if one.front.status != "retired"]
    found: dict[str, Prompt] = {}
    for name in names:
        task, version = split_name(name)
        if version is None:
            found |= {one.prompt.name: one.prompt for one in versions_of(config, task) if not one.shadowed}
        else:
            found[name] = prompt_named(config, name)
    return list(found.values())


def sample_rows(task: Task, workplace: Workplace, size: int = SAMPLE, seed: int = SEED) -> list[Mapping[str, Any]]:
    """Return the variables of a seeded sample of a technique's rows; the first row is always among them."""
    dataset = workplace.dataset
    subjects = {"item": dataset.items.height, "user": dataset.events["user"].n_unique()}.get(task.entity, 0)
    part = Slice(1, max(1, subjects // size))  # by a hash of the ids: making the rows of all users takes long
    rows = (known_after_reads(task, row).variables for row in task.rows(replace(workplace, slice=part).inputs_of(task)))
    return list(_drawn(rows, size, random.Random(seed)))


def _drawn(rows: Iterator[Mapping[str, Any]], size: int, chance: random.Random) -> Iterable[Mapping[str, Any]]:
    """Draw rows of a stream without keeping it: each has the same chance, but the first, which stays."""
    first = list(islice(rows, 1))
    kept: list[Mapping[str, Any]] = []
    for number, row in enumerate(rows):
        place = number if number < size - 1 else chance.randint(0, number)
        if number < size - 1:
            kept.append(row)
        elif place < size - 1:
            kept[place] = row
    return [*first, *kept]


def _checked(prompt: Prompt, rows: Sequence[Mapping[str, Any]], workplace: Workplace) -> Checked:
    """Collect what the rules look at; without rows, the version in use says what variables there are."""
    offered = frozenset.intersection(*(frozenset(row) for row in rows)) if rows else None
    if offered is None:
        versions = find_prompts(workplace.library)[prompt.front.task]
        used = [versions[number] for number in running(versions) if versions[number].name != prompt.name]
        offered = used[0].variables if used else None
    engine = workplace.engine
    return Checked(prompt, workplace.domain, offered, rows, engine.count_tokens, engine.context_tokens)
