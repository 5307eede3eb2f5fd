"""The plan: which rows there are, which answers are there already, what would be asked and why. It writes nothing."""

import hashlib
import json
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from feature_store.answers import known_answers
from feature_store.lineage import row_key
from feature_store.vectors import text_key
from llm_tasks.engine.protocol import EngineFault
from llm_tasks.pipeline.before import Before, Status
from llm_tasks.pipeline.estimate import Estimate, estimate
from llm_tasks.pipeline.fit import Renderer
from llm_tasks.pipeline.request import Request, candidates_of, messages_json
from llm_tasks.pipeline.spool import Spool
from llm_tasks.pipeline.task import Row, Task
from llm_tasks.pipeline.workplace import OptionFault, Workplace
from prompts.faults import PromptFault
from prompts.library import choose_prompt
from prompts.prompt import Prompt

AGAIN = "the error is to be retried"
"""How the reason of a row begins whose error on record is asked again."""


@dataclass(frozen=True, slots=True)
class PlannedRow:
    """One row of knowledge as it shall be; what its prompt shows is not kept, so that millions of them fit memory."""

    row: str
    """Row key: task, entity and as_of."""
    entity: str
    """Id of the item, user, query or event."""
    as_of: datetime
    """The newest event the row may have seen."""
    seen_until: datetime | None
    """The newest event that really stands in the prompt."""
    text: str | None
    """The text itself, where no model is asked."""
    answer_key: str | None
    """Key of its answer; None when no model is asked, or when the prompt cannot be sent."""
    input_digest: str
    """Hash of what the prompt shows."""
    status: Status
    """cached: answered already; failed: an error is on record, or the prompt cannot be sent; new or changed: to be
    asked."""
    why: str
    """Why it is to be asked, or why it failed."""
    candidates: tuple[str, ...] = ()
    """Keys of all its answers, where several are sampled and the best is kept; the first is `answer_key`."""
    shown: Mapping[str, Any] | None = None
    """What its prompt shows, kept where candidates are compared with it."""


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
    """Answer key -> input tokens, of every distinct call to be made; 0 where tokens were not counted."""
    seeds: Mapping[str, int] = field(default_factory=dict)
    """Answer key -> seed, of calls for further candidates."""
    withdrawn: tuple[str, ...] = ()
    """Keys of rows on record that the data no longer bears out; see `Before.withdrawn`."""
    shortened: int = 0
    """Rows whose oldest events were dropped, so that they fit the model's context."""
    estimate: Estimate | None = None
    """What the calls will give and take, going by past runs; None when there were none."""
    spool: Spool = field(default_factory=Spool, compare=False, repr=False)
    """The rendered requests of the calls to be made, maybe some more."""

    def count(self, status: Status) -> int:
        """Number of rows with a status."""
        return sum(row.status == status for row in self.rows)

    def summary(self) -> dict:
        """Counts of rows and tokens, ready for JSON."""
        bound = self.prompt.front.sampling.get("max_tokens", 0) if self.prompt else 0
        reasons = Counter(row.why for row in self.rows if row.status in ("new", "changed"))
        failures = Counter(row.why.split(":")[0] for row in self.rows if row.status == "failed")
        guess = self.estimate
        return {
            "task": self.task.name,
            "prompt": self.prompt.name if self.prompt else None,
            "rows": len(self.rows),
            "cached": self.count("cached"),
            "new": self.count("new"),
            "changed": self.count("changed"),
            "failed": self.count("failed"),
            "withdrawn": len(self.withdrawn),
            "shortened": self.shortened,
            "calls": len(self.asks),
            "input_tokens": sum(self.asks.values()),
            "output_tokens_at_most": len(self.asks) * bound,
            "output_tokens_estimate": round(len(self.asks) * guess.output_tokens) if guess else None,
            "seconds_estimate": len(self.asks) * guess.seconds if guess else None,
            "why": dict(reasons),
            "failures": dict(failures),
            "too_long": [row.row for row in self.rows if row.why.startswith("too_long")],
        }


def plan_task(
    task: Task,
    place: Workplace,
    *,
    retry: Collection[str] = (),
    asked_before: Collection[str] = frozenset(),
    count_tokens: bool = True,
) -> TaskPlan:
    """Compare the rows a technique wants with what the store holds.

    Args:
        task: The technique.
        place: Data, engine and store.
        retry: Kinds of errors on record, such as `refused` or `parse`; `all` is every kind. When given, the plan holds
            the rows with these errors, to be asked again, and no others.
        asked_before: Keys that earlier techniques of the same refresh ask: techniques with one prompt share the answer.
        count_tokens: Count the tokens of every prompt to be asked; a refresh leaves that to the engine.

    Returns:
        The plan; nothing is written.
    """
    prompt = choose_prompt(task.prompt, place.options_of(task.name).prompt_version) if task.prompt else None
    answers = {**known_answers(place.store), **dict.fromkeys(asked_before)} if prompt else {}
    before, identity = Before.read(place.store, task.name), place.identity_of(task.name)
    rows: dict[str, PlannedRow] = {}
    tokens: dict[str, int] = {}
    seeds: dict[str, int] = {}
    shortened: set[str] = set()
    number = number_of_candidates(task, prompt, place)
    replaced, spool = False, Spool()
    for row, request, fault, shorter in task_rows(task, prompt, place):
        digest = hashlib.sha256(json.dumps(dict(row.variables), sort_keys=True, default=str).encode()).hexdigest()[:16]
        key, text = row_key(task.name, row.entity, row.as_of), None
        (shortened.add if shorter else shortened.discard)(key)
        # Two snapshots of one second are one row of knowledge; the later one has seen more.
        replaced = replaced or key in rows
        if fault:
            rows[key] = PlannedRow(key, row.entity, row.as_of, row.seen_until, None, None, digest, "failed", fault)
            continue
        asked: tuple[Request, ...] = ()
        if request is None:
            text = task.encode(row.variables["text"])
            known = before.text_keys.get(key) == text_key(text)
        else:
            asked = candidates_of(request, identity, number)
            known = all(one.key in answers for one in asked)
        status, why = before.judge(key, row.entity, digest, prompt, identity, known=known)
        errors = [answers[one.key] for one in asked if known]
        error = errors[0] if errors and None not in errors else None  # one candidate that was answered is enough
        if known and error is None and key in before.unparsed and ("all" in retry or "parse" in retry):
            status, why = "changed", f"{AGAIN}: parse"
        if error is not None:
            again = "all" in retry or error in retry
            status, why = ("changed", f"{AGAIN}: {error}") if again else ("failed", error)
        for one in asked if status in ("new", "changed") else ():
            if one.key in tokens or (one.key in answers and not known):
                continue
            if not tokens:
                check_prompt(one, prompt, place)
            tokens[one.key] = place.engine.count_tokens(one.messages) if count_tokens else 0
            spool.add(one.key, messages_json(one.messages))
            if one is not request:
                seeds[one.key] = one.sampling["seed"]
        rows[key] = PlannedRow(
            key,
            row.entity,
            row.as_of,
            row.seen_until,
            text,
            request.key if request else None,
            digest,
            status,
            why,
            tuple(one.key for one in asked) if number > 1 else (),
            row.variables if number > 1 else None,
        )
    gone = () if retry else before.withdrawn(rows.keys(), place.dataset, place.split)
    if retry:
        rows = {key: row for key, row in rows.items() if row.why.startswith(AGAIN)}
        shortened &= rows.keys()
    if replaced or retry:
        wanted = {key for row in rows.values() for key in (row.answer_key, *row.candidates)}
        tokens = {key: count for key, count in tokens.items() if key in wanted}
    guess = estimate(place.store, prompt, identity) if prompt and tokens else None
    return TaskPlan(task, prompt, tuple(rows.values()), tokens, seeds, gone, len(shortened), guess, spool)


def number_of_candidates(task: Task, prompt: Prompt | None, place: Workplace) -> int:
    """How many answers each row of a technique gets.

    Raises:
        OptionFault: Several are asked for, and the technique or its prompt knows no several.
    """
    number = place.options_of(task.name).candidates
    if number > 1 and (prompt is None or task.decision is None):
        raise OptionFault(f"tasks.{task.name}.candidates: {task.name} does not choose among answers\n  leave it out")
    if number > 1 and prompt is not None and not prompt.front.sampling.get("temperature"):
        what = f"tasks.{task.name}.candidates: {prompt.file} has temperature 0, and all answers would be one"
        raise OptionFault(f"{what}\n  leave candidates out, or name another version of the prompt")
    return number


def check_prompt(request: Request, prompt: Prompt | None, place: Workplace) -> None:
    """Let an engine that can (it has a method `check`) look at one request of a prompt before any is paid for.

    Raises:
        PromptFault: The engine cannot answer this prompt at all; it says why.
    """
    check = getattr(place.engine, "check", None)
    if check is None or prompt is None:
        return
    try:
        check(request)
    except EngineFault as fault:
        what, _, mend = str(fault).partition("\n")
        raise PromptFault(prompt.file, what, mend.strip()) from None


Planned = tuple[Row, Request | None, str | None, bool]
"""A row, its request (None when no model is asked), why it cannot be asked, and whether it was shortened."""


def task_rows(task: Task, prompt: Prompt | None, place: Workplace) -> Iterator[Planned]:
    """Yield a technique's rows with their requests, shortened where they would not fit the model's context."""
    renderer = Renderer.of(task, prompt, place) if prompt else None
    for row in task.rows(place.inputs_of(task)):
        if renderer is None:
            yield row, None, None, False
            continue
        fitting, request, fault = renderer.fitted(row)
        yield fitting, request, fault, fitting is not row
