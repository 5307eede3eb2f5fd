"""Plan a refresh: which rows there are, which answers exist, what would be asked and why. Nothing is written."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import polars as pl

from base.faults import WrongUse
from base.plugins import PluginFault
from engines.protocol import EngineFault
from engines.request import Request
from feature_store.answers import Tried, failed_calls, stored_answers
from feature_store.lineage import read_lineage
from llm_tasks.pipeline.before import Before, Status
from llm_tasks.pipeline.estimate import Estimate, estimate
from llm_tasks.pipeline.fit import Renderer
from llm_tasks.pipeline.kept_plan import SCHEMA, KeptPlan
from llm_tasks.pipeline.own_data import without_subjects
from llm_tasks.pipeline.row_planner import AGAIN, PlannedRow, RowPlanner
from llm_tasks.pipeline.row_table import RowTable
from llm_tasks.pipeline.spool import Spool
from llm_tasks.pipeline.table_planner import Planned, TablePlanner
from llm_tasks.pipeline.task import Row, SampledOptions, Task
from llm_tasks.pipeline.workplace import Workplace
from prompts.faults import unfit
from prompts.library import live_prompt
from prompts.prompt import Prompt

NAME_AN_ENGINE = (
    "name one that does under engine: in knowflow.yaml, or for one run: --engine vllm --model FOLDER "
    "(docs/how-to/vllm.md), --engine openai --model NAME (docs/how-to/openai-server.md)"
)
"""What to do if the engine has no answers."""


@dataclass(frozen=True)
class TaskPlan:
    """What one task would do."""

    task: Task
    """The technique."""
    prompt: Prompt | None
    """Its prompt; None if no model is asked."""
    rows: tuple[PlannedRow, ...]
    """All rows but the settled ones, in the technique's order."""
    asks: Mapping[str, int] = field(default_factory=dict)
    """Answer key -> input tokens of every distinct call to make; 0 if tokens were not counted."""
    withdrawn: tuple[str, ...] = ()
    """Keys of stored rows that the data no longer supports; see `Before.withdrawn`."""
    short: frozenset[str] = frozenset()
    """Keys of the rows whose oldest events were dropped to fit the model's context."""
    estimate: Estimate | None = None
    """Expected output and duration of calls, from past runs; None if there were none."""
    waits: Mapping[str, int] = field(default_factory=dict)
    """Technique that this one reads -> number of its rows to ask first; rows that read them are not known yet."""
    unanswered: int = 0
    """Number of the calls that the engine already knows it cannot answer; see `Engine`."""
    tried: Mapping[str, Tried] = field(default_factory=dict, repr=False)
    """Key of every call that ended in an error before -> how often it was asked."""
    spool: Spool = field(default_factory=Spool, compare=False, repr=False)
    """The requests of the calls to make, possibly with some extra ones."""
    settled: pl.DataFrame = field(default_factory=SCHEMA.to_frame, compare=False, repr=False)
    """Rows that stay as the last refresh left them, with the columns of `kept_plan.SCHEMA`."""
    kept: KeptPlan | None = field(default=None, compare=False, repr=False)
    """Where the plan is kept for the next refresh; None = nowhere."""

    @property
    def total(self) -> int:
        """Return the number of rows, settled ones included."""
        return len(self.rows) + len(self.settled)

    @property
    def shortened(self) -> int:
        """Return the number of rows whose oldest events were dropped to fit the model's context."""
        return len(self.short) + int(self.settled["shortened"].sum())

    def count(self, status: Status) -> int:
        """Return the number of rows with a status; the answers of settled rows are there."""
        return sum(row.status == status for row in self.rows) + (len(self.settled) if status == "cached" else 0)

    def summary(self) -> dict:
        """Return counts of rows and tokens, ready for JSON."""
        bound = self.prompt.front.sampling.get("max_tokens", 0) if self.prompt else 0
        reasons = Counter(row.why for row in self.rows if row.status in ("new", "changed"))
        failures = Counter(row.why.split(":")[0] for row in self.rows if row.status == "failed")
        waiting = Counter(r.why.split(":")[0] for r in self.rows if r.waits_until is not None)
        until = min((row.waits_until for row in self.rows if row.waits_until is not None), default=None)
        unsent = Counter(r.why.split(":")[0] for r in self.rows if r.status == "failed" and r.answer_key is None)
        guess = self.estimate
        return {
            "task": self.task.name,
            "prompt": self.prompt.name if self.prompt else None,
            "rows": self.total,
            "cached": self.count("cached"),
            "new": self.count("new"),
            "changed": self.count("changed"),
            "failed": self.count("failed"),
            "withdrawn": len(self.withdrawn),
            "shortened": self.shortened,
            "calls": len(self.asks),
            "unanswered": self.unanswered,
            "input_tokens": sum(self.asks.values()),
            "output_tokens_at_most": len(self.asks) * bound,
            "output_tokens_estimate": round(len(self.asks) * guess.output_tokens) if guess else None,
            "seconds_estimate": len(self.asks) * guess.seconds if guess else None,
            "waits_for": dict(self.waits),
            "why": dict(reasons),
            "failures": dict(failures),
            "unsent": dict(unsent),
            "waiting": dict(waiting),
            "waits_until": until.isoformat() if until else None,
            "too_long": [row.row for row in self.rows if row.why.startswith("too_long")],
        }


def plan_task(
    task: Task,
    workplace: Workplace,
    *,
    retry: Collection[str] = (),
    asked_before: Collection[str] = frozenset(),
    count_tokens: bool = True,
    now: datetime | None = None,
) -> TaskPlan:
    """Compare the rows that a technique yields with what the store holds.

    Args:
        task: The technique.
        workplace: Data, engine and store.
        retry: Kinds of stored errors, such as `refused` or `parse`; `all` is every kind. If given, the plan holds only
            rows with these errors, to be asked again.
        asked_before: Keys that earlier techniques of this refresh ask: techniques with the same prompt share answers.
        count_tokens: Count the tokens of every prompt to ask; a refresh leaves that to the engine.
        now: The present, for rows that wait before they are asked again; the clock's time if not given.

    Returns:
        The plan; nothing is written.
    """
    prompt = _prompt_of(task, workplace)
    before, answers = Before.read(workplace.store, task.name), stored_answers(workplace.store)
    kept = None if retry else KeptPlan.of(task, prompt, workplace)
    settled = kept.settled(before.table, answers) if kept else SCHEMA.to_frame()
    of_others = without_subjects(workplace.dataset, task.entity, settled["subject"])
    errors = {**dict(answers.select("key", "error").iter_rows()), **dict.fromkeys(asked_before)} if prompt else {}
    told = (before.without(settled["row"]), errors, frozenset(retry), now or datetime.now(UTC))
    planner = _row_planner(task, prompt, workplace, *told)
    rows: dict[str, PlannedRow] = {}
    tokens: dict[str, int] = {}
    shortened: set[str] = set()
    replaced, spool = False, Spool()
    for planned, asked, shorter in _planned_rows(task, prompt, replace(workplace, dataset=of_others), planner):
        if planned.row in rows and _newer(rows[planned.row].seen_until, planned.seen_until):
            continue
        (shortened.add if shorter else shortened.discard)(planned.row)
        # Two snapshots in the same second are one row of knowledge; the later one has seen more.
        replaced = replaced or planned.row in rows
        rows[planned.row] = planned
        for one in asked:
            if one.key not in tokens:
                if not tokens:
                    check_prompt(one, prompt, workplace)
                tokens[one.key] = workplace.engine.count_tokens(one.messages) if count_tokens else 0
                spool.add(one)
    there = frozenset(read_lineage(workplace.store, task.needs, ["row"])["row"])
    gone = () if retry else planner.before.withdrawn(rows.keys(), workplace.dataset, planner.identity, there)
    if retry:
        rows = {key: row for key, row in rows.items() if row.why.startswith(AGAIN)}
        shortened &= rows.keys()
    if replaced or retry:
        wanted = {key for row in rows.values() for key in (row.answer_key, *row.candidates)}
        tokens = {key: count for key, count in tokens.items() if key in wanted}
    return TaskPlan(
        task,
        prompt,
        tuple(rows.values()),
        asks=tokens,
        withdrawn=gone,
        short=frozenset(shortened),
        estimate=estimate(workplace.store, prompt, planner.identity) if prompt and tokens else None,
        unanswered=unanswered(workplace, tokens),
        tried=planner.tried,
        spool=spool,
        settled=settled,
        kept=kept,
    )


def _prompt_of(task: Task, workplace: Workplace) -> Prompt | None:
    version = workplace.options_of(task).prompt_version
    return live_prompt(task.prompt, version, workplace.library) if task.prompt else None


def _row_planner(
    task: Task,
    prompt: Prompt | None,
    workplace: Workplace,
    before: Before,
    answers: Mapping[str, str | None],
    retry: frozenset[str],
    now: datetime,
) -> RowPlanner:
    identity = workplace.identity_of(task)
    return RowPlanner(
        task=task,
        prompt=prompt,
        identity=identity,
        before=before,
        answers=answers,
        tried=failed_calls(workplace.store) if prompt else {},
        now=now,
        retry=retry,
        candidates=number_of_candidates(task, prompt, workplace),
        seen_until=identity.seen_until if prompt and task.entity != "event" else None,
    )


def _planned_rows(task: Task, prompt: Prompt | None, workplace: Workplace, planner: RowPlanner) -> Iterator[Planned]:
    """Yield a technique's rows, planned: those of a table together, others one by one."""
    rows = task.rows(workplace.inputs_of(task))
    if prompt is not None and not task.needs and isinstance(rows, RowTable):
        yield from TablePlanner.of(rows, planner, Renderer.of(task, prompt, workplace)).plan()
        return
    for row, request, fault, shorter in _with_requests(rows, task, prompt, workplace):
        yield *planner.plan(row, request, fault), shorter


def unanswered(workplace: Workplace, keys: Collection[str]) -> int:
    """Count the calls that the engine knows it cannot answer; 0 for an engine that asks a model."""
    count = getattr(workplace.engine, "unanswered", None)
    return count(keys) if count is not None else 0


def check_answerable(plan: TaskPlan, engine: str) -> None:
    """Refuse to fill the store with error rows: nobody answers any call, and no row has an answer yet.

    Raises:
        WrongUse: No row of the technique can get a text.
    """
    if plan.asks and plan.unanswered == len(plan.asks) and not plan.count("cached"):
        what = f"{plan.task.name}: the engine {engine!r} calls no model and has none of the {len(plan.asks):,} answers"
        raise WrongUse(f"{what}\n  {NAME_AN_ENGINE}")


def known_after_reads(task: Task, row: Row) -> Row:
    """Date a row by what it read from other techniques.

    Raises:
        PluginFault: The technique reads others but does not say what this row read, so the row cannot be dated.
    """
    if not task.needs:
        return row
    if row.reads is None:
        fix = "pass Row(..., reads=(...)), or reads=() if it read nothing"
        raise PluginFault(f"{task.name}: its row about {row.entity} does not say what it read\n  {fix}")
    shorter = row.shorter

    def dated() -> Row | None:
        less = shorter() if shorter else None
        return known_after_reads(task, less) if less else None

    newest = max((row.as_of, *(one.as_of for one in row.reads)))
    return replace(row, as_of=newest, shorter=dated if shorter else None)


def _newer(one: datetime | None, other: datetime | None) -> bool:
    """Return whether one prompt has seen more than another: of snapshots with the same `as_of` the newest is kept."""
    return one is not None and other is not None and one > other


def number_of_candidates(task: Task, prompt: Prompt | None, workplace: Workplace) -> int:
    """Return how many answers each row of a technique gets.

    Raises:
        WrongUse: Several are requested, but the prompt always gives the same one.
    """
    options = workplace.options_of(task)
    number = options.candidates if isinstance(options, SampledOptions) else 1
    if number > 1 and prompt is not None and not prompt.front.sampling.get("temperature"):
        what = f"tasks.{task.name}.candidates: {prompt.file} has temperature 0, so all answers would be the same"
        raise WrongUse(f"{what}\n  leave candidates out, or name another version of the prompt")
    return number


def check_prompt(request: Request, prompt: Prompt | None, workplace: Workplace) -> None:
    """Let an engine that has a method `check` inspect one request of a prompt before any call is paid for.

    Raises:
        WrongUse: The engine cannot answer this prompt at all; the text says why.
    """
    check = getattr(workplace.engine, "check", None)
    if check is None or prompt is None:
        return
    try:
        check(request)
    except EngineFault as fault:
        what, _, fix = str(fault).partition("\n")
        raise unfit(prompt.file, what, fix.strip()) from None


Rendered = tuple[Row, Request | None, str | None, bool]
"""A row, its request (None if no model is asked), why it cannot be asked, and whether it was shortened."""


def task_rows(task: Task, prompt: Prompt | None, workplace: Workplace) -> Iterator[Rendered]:
    """Yield a technique's rows with their requests, shortened if they would not fit the model's context."""
    return _with_requests(task.rows(workplace.inputs_of(task)), task, prompt, workplace)


def _with_requests(rows: Iterable[Row], task: Task, prompt: Prompt | None, workplace: Workplace) -> Iterator[Rendered]:
    renderer = Renderer.of(task, prompt, workplace) if prompt else None
    for made in rows:
        row = known_after_reads(task, made)
        if renderer is None:
            yield row, None, None, False
            continue
        fitting, request, fault = renderer.fitted(row)
        yield fitting, request, fault, fitting is not row
