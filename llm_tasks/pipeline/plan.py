"""The plan: which rows there are, which answers are there already, what would be asked and why. It writes nothing."""

import hashlib
import json
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from feature_store.answers import known_answers
from feature_store.database import Store
from feature_store.lineage import row_key
from feature_store.vectors import text_key
from llm_tasks.engine.protocol import Engine
from llm_tasks.pipeline.before import Before, Status, model_name
from llm_tasks.pipeline.request import Request, answer_key, is_utf8
from llm_tasks.pipeline.task import Inputs, Row, Task, TaskOptions
from prompts.domain import Domain
from prompts.library import choose_prompt
from prompts.prompt import Prompt
from sources.tables import Dataset

__all__ = [
    "OptionFault",
    "PlannedRow",
    "TaskPlan",
    "Workplace",
    "model_name",
    "only_entities",
    "plan_task",
    "task_rows",
]

NOT_UTF8 = "not_utf8: the prompt holds characters that cannot be sent (half of a surrogate pair)"


class OptionFault(Exception):
    """A task's option in knowflow.yaml cannot be used; the text says what to change."""


@dataclass(frozen=True)
class Workplace:
    """All that the stages of a refresh share."""

    dataset: Dataset
    """The user's data."""
    domain: Domain
    """The words of the domain."""
    engine: Engine
    """Who answers."""
    store: Store
    """Where answers, lineage and vectors are kept."""
    options: Mapping[str, TaskOptions]
    """Task name -> options; a missing task has the defaults."""
    folder: Path
    """What relative paths in options are relative to."""

    def options_of(self, task: str) -> TaskOptions:
        """Options of one task."""
        return self.options.get(task, TaskOptions())


@dataclass(frozen=True)
class PlannedRow:
    """One row of knowledge as it shall be."""

    row: str
    """Row key: task, entity and as_of."""
    source: Row
    """The technique's row."""
    answer_key: str | None
    """Key of its answer; None when no model is asked, or when the prompt cannot be sent."""
    input_digest: str
    """Hash of what the prompt shows."""
    status: Status
    """cached: answered already; failed: an error is on record, or the prompt cannot be sent; new or changed: to be
    asked."""
    why: str
    """Why it is to be asked, or why it failed."""


@dataclass(frozen=True)
class TaskPlan:
    """What one task would do."""

    task: Task
    """The technique."""
    prompt: Prompt | None
    """Its prompt; None when no model is asked."""
    rows: tuple[PlannedRow, ...]
    """All rows, in the technique's order."""
    asks: Mapping[str, int] = field(default_factory=dict)
    """Answer key -> input tokens, of every distinct call to be made."""
    withdrawn: tuple[str, ...] = ()
    """Keys of rows on record that the data no longer bears out; see `Before.withdrawn`."""

    def count(self, status: Status) -> int:
        """Number of rows with a status."""
        return sum(row.status == status for row in self.rows)

    def summary(self) -> dict:
        """Counts of rows and tokens, ready for JSON."""
        bound = self.prompt.front.sampling.get("max_tokens", 0) if self.prompt else 0
        reasons = Counter(row.why for row in self.rows if row.status in ("new", "changed"))
        return {
            "task": self.task.name,
            "prompt": self.prompt.name if self.prompt else None,
            "rows": len(self.rows),
            "cached": self.count("cached"),
            "new": self.count("new"),
            "changed": self.count("changed"),
            "failed": self.count("failed"),
            "withdrawn": len(self.withdrawn),
            "calls": len(self.asks),
            "input_tokens": sum(self.asks.values()),
            "output_tokens_at_most": len(self.asks) * bound,
            "why": dict(reasons),
        }


def plan_task(
    task: Task, place: Workplace, *, retry_failed: bool = False, asked_before: Collection[str] = frozenset()
) -> TaskPlan:
    """Compare the rows a technique wants with what the store holds.

    Args:
        task: The technique.
        place: Data, engine and store.
        retry_failed: Ask again for rows whose error is on record.
        asked_before: Keys that earlier techniques of the same refresh ask: techniques with one prompt share the answer.

    Returns:
        The plan; nothing is written.
    """
    prompt = choose_prompt(task.prompt, place.options_of(task.name).prompt_version) if task.prompt else None
    answers = {**known_answers(place.store), **dict.fromkeys(asked_before)} if prompt else {}
    before = Before.read(place.store, task.name)
    rows: dict[str, PlannedRow] = {}
    tokens: dict[str, int] = {}
    for row, request in task_rows(task, prompt, place):
        digest = hashlib.sha256(json.dumps(dict(row.variables), sort_keys=True, default=str).encode()).hexdigest()[:16]
        key = row_key(task.name, row.entity, row.as_of)
        if request is not None and not all(is_utf8(message["content"]) for message in request.messages):
            rows[key] = PlannedRow(key, row, None, digest, "failed", NOT_UTF8)
            continue
        if request is None:
            known = before.text_keys.get(key) == text_key(task.encode(row.variables["text"]))
        else:
            known = request.key in answers
        status, why = before.judge(key, row.entity, digest, prompt, place.engine.identity, known=known)
        if request is not None and known and answers[request.key] is not None:
            status, why = (
                ("changed", "the error is to be retried") if retry_failed else ("failed", answers[request.key] or "")
            )
        if request is not None and status in ("new", "changed") and request.key not in tokens:
            tokens[request.key] = place.engine.count_tokens(request.messages)
        # Two snapshots of one second are one row of knowledge; the later one has seen more.
        rows[key] = PlannedRow(key, row, request.key if request else None, digest, status, why)
    wanted = {row.answer_key for row in rows.values()}
    asks = {key: count for key, count in tokens.items() if key in wanted}
    return TaskPlan(task, prompt, tuple(rows.values()), asks, before.withdrawn(rows.keys(), place.dataset))


def task_rows(task: Task, prompt: Prompt | None, place: Workplace) -> Iterator[tuple[Row, Request | None]]:
    """Yield a technique's rows with their requests; no request when no model is asked."""
    options = place.options_of(task.name)
    inputs = Inputs(place.dataset, place.domain, options, only_entities(options, place.folder, task))
    for row in task.rows(inputs):
        if prompt is None:
            yield row, None
            continue
        messages = prompt.render(row.variables, place.domain)
        sampling, schema = prompt.front.sampling, prompt.front.answer_schema
        key = answer_key(messages, place.engine.identity, sampling, schema)
        yield row, Request(key, tuple(messages), sampling, schema)


def only_entities(options: TaskOptions, folder: Path, task: Task) -> frozenset[str] | None:
    """Read the file that lists the entities to ask about.

    Raises:
        OptionFault: The file or its column is missing.
    """
    if options.only is None:
        return None
    path = folder / options.only.path
    where = f"tasks.{task.name}.only"
    if not path.is_file():
        raise OptionFault(f"{where}: there is no file {path}\n  mend the path, or leave `only` out to ask about all")
    table = pl.read_csv(path, infer_schema=False) if path.suffix == ".csv" else pl.read_parquet(path)
    if options.only.column not in table.columns:
        raise OptionFault(f"{where}: {path} has no column '{options.only.column}'\n  it has {', '.join(table.columns)}")
    return frozenset(table[options.only.column].cast(pl.String).to_list())
