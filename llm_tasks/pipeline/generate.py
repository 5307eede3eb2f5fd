"""Ask a model for the missing answers; each answer is on disk as it comes, not when the batch ends."""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from base.progress import Progress
from engines.protocol import KEPT, EngineFault
from engines.request import Answer, Request, is_utf8, messages_json
from feature_store.answers import answer_log
from feature_store.database import Writer
from feature_store.runs import write_run
from llm_tasks.pipeline.before import model_name
from llm_tasks.pipeline.budget import Budget, BudgetReached, Prices
from llm_tasks.pipeline.meter import Meter, Observe, Reading, look_away
from llm_tasks.pipeline.one_cause import OneCause
from llm_tasks.pipeline.plan import TaskPlan
from llm_tasks.pipeline.rows import write_rows
from llm_tasks.pipeline.workplace import Workplace

COMMIT_ROWS = 20_000
"""Maximum answers per commit: each commit is a file. Until then they are in the journal, which is as safe."""
COMMIT_SECONDS = 5.0
OBSERVE_SECONDS = 1.0
LARGEST = 2**31 - 1
"""The largest number of tokens that the table of answers holds."""


@dataclass(frozen=True)
class Spending:
    """What a run may spend, and its observer."""

    prices: Prices = field(default_factory=Prices)
    """What tokens cost."""
    budget: Budget = field(default_factory=Budget)
    """The budget, shared by all techniques of a run."""
    observe: Observe = look_away
    """Called every second with the state of the run."""


@dataclass(frozen=True)
class Generated:
    """What generation did for one task."""

    task: str
    """Name of the technique."""
    rows: int
    """Number of planned rows."""
    calls: int
    """Number of requests sent to the engine."""
    answered: int
    """How many of them were answered."""
    errors: dict[str, int]
    """Number of rows without a text, by kind of error."""
    input_tokens: int
    """Tokens of the prompts sent now."""
    output_tokens: int
    """Tokens of the answers given now."""
    cached_tokens: int = 0
    """Input tokens that the engine had computed before (prefix cache)."""
    seconds: float = 0.0
    """Time from the first request to the last answer."""
    cost: float = 0.0
    """Cost by the prices in knowflow.yaml."""
    withdrawn: int = 0
    """Number of stored rows deleted now because the data no longer supports them."""
    shortened: int = 0
    """Number of rows whose oldest events were dropped to fit the model's context."""
    cut_off: int = 0
    """Number of answers given now that were cut off at the maximum of tokens."""
    left: int = 0
    """Number of calls not made because the budget was spent; the rows are not written then."""
    stopped: str = ""
    """Which limit was reached, in words."""


def generate(
    plan: TaskPlan, workplace: Workplace, writer: Writer, progress: Progress, spending: Spending | None = None
) -> Generated:
    """Ask the calls of a plan, then write the lineage of all its rows.

    Args:
        plan: A plan from `plan_task`, made while the writer was held.
        workplace: Data, engine and store.
        writer: The store's writer.
        progress: Called with the number of finished calls.
        spending: Prices, budget and observer; without it, nothing is limited.

    Returns:
        Counts of calls, tokens and rows without a text.

    Raises:
        EngineFault: The engine failed; its answers so far are kept, and the lineage is unchanged.
        BudgetReached: The budget is spent; the answers so far are kept, and the lineage is unchanged.
    """
    last = ask_plan(plan, workplace, writer, progress, spending or Spending())
    errors = write_rows(plan, workplace, writer)
    if plan.kept is not None:
        plan.kept.keep(plan.settled, plan.rows, plan.short, workplace, plan.task)
    return _counts(plan, last, errors)


def stopped(plan: TaskPlan, reached: BudgetReached, budget: Budget) -> Generated:
    """Return what generation did for a task whose budget was spent."""
    assert reached.reading is not None, "the run of a plan says what was asked"
    reading = reached.reading
    return replace(
        _counts(plan, reading, errors={}), left=len(plan.asks) - reading.done, stopped=budget.reached() or ""
    )


def _counts(plan: TaskPlan, last: Reading, errors: dict[str, int]) -> Generated:
    return Generated(
        task=plan.task.name,
        rows=plan.total,
        calls=last.done,
        answered=last.done - sum(last.errors.values()),
        errors=errors,
        input_tokens=last.input_tokens,
        output_tokens=last.output_tokens,
        cached_tokens=last.cached_tokens,
        seconds=last.seconds if last.done else 0.0,
        cost=last.cost,
        withdrawn=len(plan.withdrawn),
        shortened=plan.shortened,
        cut_off=last.cut_off,
    )


def ask_plan(
    plan: TaskPlan,
    workplace: Workplace,
    writer: Writer,
    progress: Progress,
    spending: Spending,
    cause: OneCause | None = None,
) -> Reading:
    """Ask the calls of a plan and store the answers; the lineage is not changed.

    Args:
        plan: The plan.
        workplace: Data, engine and store.
        writer: The store's writer.
        progress: Called with the number of finished calls.
        spending: Prices, budget and observer.
        cause: Stops the run if all its first answers end in one error; counts over several plans if given.

    Returns:
        Tokens, time and cost of the run.

    Raises:
        EngineFault: The engine failed, or all first answers ended in one error; the answers so far are kept.
        BudgetReached: The budget is spent; the answers so far are kept.
    """
    meter = Meter(plan.task.name, len(plan.asks), spending.prices)
    run = _Run(plan, workplace, spending, meter, cause or OneCause.of(workplace))
    try:
        _ask(run, writer, progress)
    finally:
        if meter.done:
            write_run(writer, _run_row(plan, workplace, meter.read()))
            spending.observe(meter.read())
    return meter.read()


@dataclass(frozen=True)
class _Run:
    """One run of a plan."""

    plan: TaskPlan
    workplace: Workplace
    spending: Spending
    meter: Meter
    cause: OneCause
    in_flight: dict[str, Request] = field(default_factory=dict)


def _ask(run: _Run, writer: Writer, progress: Progress) -> None:
    """Write every answer to disk as it comes; also recover what a killed run left."""
    meter, spending = run.meter, run.spending
    with answer_log(writer) as log:
        if not run.plan.asks:
            return
        shared, what = _shared_columns(run.plan, run.workplace), meter.read().what
        committed_at = observed_at = time.monotonic()

        def watch(written: int) -> None:
            """Show that the model writes, long before the first answer is finished."""
            meter.written = written
            spending.observe(meter.read())
            progress(what, meter.done, meter.total)

        for raw in _answers(run, watch):
            answer = checked(raw)
            request = run.in_flight.pop(answer.key)
            before = run.plan.tried.get(answer.key)
            log.append(_answer_row(answer, request, shared) | {"attempts": 1 + (before.attempts if before else 0)})
            run.cause.count(answer)
            spending.budget.spend(answer.input_tokens + answer.output_tokens, meter.count(answer))
            now = time.monotonic()
            if len(log) >= COMMIT_ROWS or now - committed_at >= COMMIT_SECONDS:
                log.commit()
                committed_at = now
            if now - observed_at >= OBSERVE_SECONDS or meter.done == meter.total:
                spending.observe(meter.read())
                observed_at = now
            progress(what, meter.done, meter.total)


def _requests(run: _Run) -> Iterator[Request]:
    """Yield the requests of a plan as the engine takes them, until the budget is spent or all fail for one cause."""
    for request in run.plan.spool.requests():
        if request.key not in run.plan.asks:  # its row was replaced by a later one
            continue
        if run.spending.budget.reached() or run.cause.found:
            return
        run.meter.begin()
        run.in_flight[request.key] = request
        yield request


def _answers(run: _Run, watch: Callable[[int], None]) -> Iterator[Answer]:
    """Yield the engine's answers; raise a readable error if it breaks its contract or the run stops early."""
    plan, engine = run.plan, run.workplace.engine
    done, total, model = 0, len(plan.asks), engine.identity.model
    try:
        prepare = getattr(engine, "prepare", None)
        if prepare is not None and not run.spending.budget.reached():
            prepare(run.workplace.adapter_of(plan.task))
        say_written = getattr(engine, "watch", None) or (lambda _: None)
        say_written(watch)
        for answer in engine.generate(_requests(run)):
            if answer.key not in run.in_flight:
                raise EngineFault(
                    f"the engine of {model} answered a request that is not open: {answer.key} was answered before, or"
                    f" never sent\n  {KEPT}"
                )
            done += 1
            yield answer
        say_written(None)
    except EngineFault:
        raise
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        raise EngineFault(
            f"the engine of {model} failed after {done:,} of {total:,} calls: {reason}\n  {KEPT}"
        ) from error
    if done < total:
        limit = run.spending.budget.reached()
        if run.cause.found and not run.in_flight:
            raise run.cause.fault(plan.task.name, done, total)
        if limit and not run.in_flight:
            reached = BudgetReached(f"stopped after {done:,} of {total:,} calls of {plan.task.name}: {limit}\n  {KEPT}")
            reached.reading = run.meter.read()
            raise reached
        raise EngineFault(f"the engine of {model} stopped after {done:,} of {total:,} calls\n  {KEPT}")


def checked(answer: Answer) -> Answer:
    """Turn an answer that cannot be stored into an error: neither text nor error, or half of a surrogate pair.

    Example:
        >>> checked(Answer("k", chr(0xD800))).error
        'not_utf8'
    """
    if answer.error is None and answer.text is None:
        return replace(answer, error="no_text", detail="the engine gave neither a text nor an error")
    if answer.text is not None and not is_utf8(answer.text):
        shown = ascii(answer.text[:200])
        return replace(answer, text=None, error="not_utf8", detail=f"the answer is no valid Unicode: {shown}")
    if is_utf8(answer.detail):
        return answer
    return replace(answer, detail=answer.detail.encode("utf-8", errors="backslashreplace").decode())


def _shared_columns(plan: TaskPlan, workplace: Workplace) -> dict[str, Any]:
    """Return the columns that all answers of a technique share."""
    if plan.prompt is None:
        return {}
    identity, front = workplace.identity_of(plan.task), plan.prompt.front
    return {
        "prompt": plan.prompt.name,
        "seen_until": identity.seen_until,
        "model": identity.model,
        "revision": identity.revision,
        "adapter": identity.adapter,
        "answer_schema": json.dumps(dict(front.answer_schema), sort_keys=True),
        "knowledge_cutoff": workplace.cutoff,
    }


def _answer_row(answer: Answer, request: Request, shared: dict[str, Any]) -> dict[str, Any]:
    return {
        "key": answer.key,
        "text": answer.text,
        "error": answer.error,
        "detail": answer.detail,
        "messages": messages_json(request.messages).decode(),
        "sampling": json.dumps(dict(request.sampling), sort_keys=True),
        "input_tokens": min(answer.input_tokens, LARGEST),
        "output_tokens": min(answer.output_tokens, LARGEST),
        "cached_tokens": min(answer.cached_tokens, LARGEST),
        "finish": answer.finish,
        "answered_by": answer.answered_by,
        "created_at": datetime.now(UTC),
        **shared,
    }


def _run_row(plan: TaskPlan, workplace: Workplace, last: Reading) -> dict[str, Any]:
    return {
        "task": plan.task.name,
        "prompt": plan.prompt.name if plan.prompt else "",
        "model": model_name(workplace.identity_of(plan.task)),
        "calls": last.done,
        "failed": sum(last.errors.values()),
        "input_tokens": last.input_tokens,
        "cached_tokens": last.cached_tokens,
        "output_tokens": last.output_tokens,
        "seconds": last.seconds,
    }
