"""Generation: only what is missing is asked, and every answer is on disk as it comes, not when the batch ends."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from base.progress import Progress
from engines.protocol import EngineFault
from engines.request import Answer, Request, is_utf8, messages_json
from feature_store.answers import answer_log
from feature_store.database import Writer
from feature_store.runs import write_run
from llm_tasks.pipeline.before import model_name
from llm_tasks.pipeline.budget import Budget, BudgetReached, Prices
from llm_tasks.pipeline.meter import Meter, Observe, Reading, look_away
from llm_tasks.pipeline.plan import TaskPlan
from llm_tasks.pipeline.rows import write_rows
from llm_tasks.pipeline.workplace import Workplace

COMMIT_ROWS = 5_000
"""Answers in one commit at most: each commit is a file. Until then they stand in the journal, which is as safe."""
COMMIT_SECONDS = 5.0
OBSERVE_SECONDS = 1.0
KEPT = "what was answered is kept, the same command goes on from there"


@dataclass(frozen=True)
class Spending:
    """What a run may spend, and who watches."""

    prices: Prices = field(default_factory=Prices)
    """What tokens cost."""
    budget: Budget = field(default_factory=Budget)
    """What may be spent, shared by all techniques of a run."""
    observe: Observe = look_away
    """Told every second how the run goes."""


@dataclass(frozen=True)
class Generated:
    """What generation did for one task."""

    task: str
    """Name of the technique."""
    rows: int
    """Rows planned."""
    calls: int
    """Requests sent to the engine."""
    answered: int
    """Of these, answered."""
    errors: dict[str, int]
    """Rows without a text, by kind of error."""
    input_tokens: int
    """Tokens of the prompts asked now."""
    output_tokens: int
    """Tokens of the answers given now."""
    cached_tokens: int = 0
    """Of the input tokens, those the engine had computed before (prefix cache)."""
    seconds: float = 0.0
    """Time from the first request to the last answer."""
    cost: float = 0.0
    """By the prices of knowflow.yaml."""
    withdrawn: int = 0
    """Rows on record that the data no longer bears out, deleted now."""
    shortened: int = 0
    """Rows whose oldest events were dropped, so that they fit the model's context."""


def generate(
    plan: TaskPlan, place: Workplace, writer: Writer, progress: Progress, spending: Spending | None = None
) -> Generated:
    """Ask what the plan says, then write the lineage of all its rows.

    Args:
        plan: From `plan_task`, made while the writer was held.
        place: Data, engine and store.
        writer: The store's writer.
        progress: Told how many calls are done.
        spending: Prices, budget and who watches; without, nothing is limited.

    Returns:
        Counts of what was asked and of rows without a text.

    Raises:
        EngineFault: The engine broke off; what it had answered is kept, and the lineage is as it was.
        BudgetReached: The budget is spent; what was answered is kept, and the lineage is as it was.
    """
    last = ask_plan(plan, place, writer, progress, spending or Spending())
    errors = write_rows(plan, place, writer)
    return Generated(
        task=plan.task.name,
        rows=len(plan.rows),
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
    )


def ask_plan(plan: TaskPlan, place: Workplace, writer: Writer, progress: Progress, spending: Spending) -> Reading:
    """Ask what a plan says and keep the answers; the lineage is left alone.

    Returns:
        What the run took.

    Raises:
        EngineFault: The engine broke off; what it had answered is kept.
        BudgetReached: The budget is spent; what was answered is kept.
    """
    meter = Meter(plan.task.name, len(plan.asks), spending.prices)
    try:
        _ask(plan, place, writer, progress, spending, meter)
    finally:
        if meter.done:
            write_run(writer, _run_row(plan, place, meter.read()))
            spending.observe(meter.read())
    return meter.read()


def _ask(
    plan: TaskPlan, place: Workplace, writer: Writer, progress: Progress, spending: Spending, meter: Meter
) -> None:
    """Put every answer on disk as it comes; also takes up what a killed run left."""
    in_flight: dict[str, Request] = {}
    with answer_log(writer) as log:
        if not plan.asks:
            return
        shared, what = _shared_columns(plan, place), meter.read().what
        committed_at = observed_at = time.monotonic()
        for raw in _answers(place, requests_of(plan, spending.budget, in_flight), in_flight, plan, spending):
            answer = checked(raw)
            request = in_flight.pop(answer.key)
            log.append(_answer_row(answer, request, shared))
            spending.budget.spend(answer.input_tokens + answer.output_tokens, meter.count(answer))
            now = time.monotonic()
            if len(log) >= COMMIT_ROWS or now - committed_at >= COMMIT_SECONDS:
                log.commit()
                committed_at = now
            if now - observed_at >= OBSERVE_SECONDS:
                spending.observe(meter.read())
                observed_at = now
            progress(what, meter.done, meter.total)


def requests_of(plan: TaskPlan, budget: Budget, in_flight: dict[str, Request]) -> Iterator[Request]:
    """Hand over the requests of a plan as the engine takes them, until the budget is spent.

    Args:
        plan: What is to be asked.
        budget: Ends the requests when it is reached.
        in_flight: Gets every request as it is taken.
    """
    for request in plan.spool.requests():
        if request.key not in plan.asks:  # of a row that a later one has replaced
            continue
        if budget.reached():
            return
        in_flight[request.key] = request
        yield request


def _answers(
    place: Workplace, requests: Iterator[Request], in_flight: dict[str, Request], plan: TaskPlan, spending: Spending
) -> Iterator[Answer]:
    """Yield what the engine answers, and say in words when it does not hold to its promise or the budget is spent."""
    done, total, model = 0, len(plan.asks), place.engine.identity.model
    try:
        for answer in place.engine.generate(requests):
            if answer.key not in in_flight:
                raise EngineFault(
                    f"the engine of {model} answered what it was not asked, or twice: {answer.key}\n  {KEPT}"
                )
            done += 1
            yield answer
    except EngineFault:
        raise
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        raise EngineFault(
            f"the engine of {model} broke off after {done:,} of {total:,} calls: {reason}\n  {KEPT}"
        ) from error
    if done < total:
        limit = spending.budget.reached()
        if limit and not in_flight:
            raise BudgetReached(f"stopped after {done:,} of {total:,} calls of {plan.task.name}: {limit}\n  {KEPT}")
        raise EngineFault(f"the engine of {model} ended after {done:,} of {total:,} calls\n  {KEPT}")


def checked(answer: Answer) -> Answer:
    """Turn an answer that no table could hold into an error: no text and no error, or half of a surrogate pair.

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


def _shared_columns(plan: TaskPlan, place: Workplace) -> dict[str, Any]:
    """What all answers of a technique have in common."""
    if plan.prompt is None:
        return {}
    identity, front = place.identity_of(plan.task), plan.prompt.front
    return {
        "prompt": plan.prompt.name,
        "seen_until": identity.seen_until,
        "model": identity.model,
        "revision": identity.revision,
        "adapter": identity.adapter,
        "answer_schema": json.dumps(dict(front.answer_schema), sort_keys=True),
        "knowledge_cutoff": place.cutoff,
    }


def _answer_row(answer: Answer, request: Request, shared: dict[str, Any]) -> dict[str, Any]:
    return {
        "key": answer.key,
        "text": answer.text,
        "error": answer.error,
        "detail": answer.detail,
        "messages": messages_json(request.messages).decode(),
        "sampling": json.dumps(dict(request.sampling), sort_keys=True),
        "input_tokens": answer.input_tokens,
        "output_tokens": answer.output_tokens,
        "cached_tokens": answer.cached_tokens,
        "created_at": datetime.now(UTC),
        **shared,
    }


def _run_row(plan: TaskPlan, place: Workplace, last: Reading) -> dict[str, Any]:
    return {
        "task": plan.task.name,
        "prompt": plan.prompt.name if plan.prompt else "",
        "model": model_name(place.identity_of(plan.task)),
        "calls": last.done,
        "failed": sum(last.errors.values()),
        "input_tokens": last.input_tokens,
        "cached_tokens": last.cached_tokens,
        "output_tokens": last.output_tokens,
        "seconds": last.seconds,
    }
