"""Generation: only what is missing is asked, and every answer is on disk as it comes, not when the batch ends."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from feature_store.answers import answer_log
from feature_store.database import Writer
from llm_tasks.engine.protocol import EngineFault
from llm_tasks.pipeline.plan import TaskPlan, Workplace, task_rows
from llm_tasks.pipeline.request import Answer, Request, is_utf8
from llm_tasks.pipeline.rows import write_rows
from sources.progress import Progress

COMMIT_ROWS = 1_000
COMMIT_SECONDS = 5.0


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
    withdrawn: int = 0
    """Rows on record that the data no longer bears out, deleted now."""


def generate(plan: TaskPlan, place: Workplace, writer: Writer, progress: Progress) -> Generated:
    """Ask what the plan says, then write the lineage of all its rows.

    Args:
        plan: From `plan_task`, made while the writer was held.
        place: Data, engine and store.
        writer: The store's writer.
        progress: Told how many calls are done.

    Returns:
        Counts of what was asked and of rows without a text.

    Raises:
        EngineFault: The engine broke off; what it had answered is kept, and the lineage is as it was.
    """
    tokens_in = tokens_out = answered = calls = 0
    for answer in _ask(plan, place, writer, progress):
        calls, answered = calls + 1, answered + (answer.error is None)
        tokens_in, tokens_out = tokens_in + answer.input_tokens, tokens_out + answer.output_tokens
    errors = write_rows(plan, place, writer)
    return Generated(
        plan.task.name, len(plan.rows), calls, answered, errors, tokens_in, tokens_out, len(plan.withdrawn)
    )


def _ask(plan: TaskPlan, place: Workplace, writer: Writer, progress: Progress) -> Iterator[Answer]:
    """Yield answers once they are on disk; also takes up what a killed run left."""
    in_flight: dict[str, Request] = {}

    def requests() -> Iterator[Request]:
        sent: set[str] = set()
        for _, request in task_rows(plan.task, plan.prompt, place):
            if request is not None and request.key in plan.asks and request.key not in sent:
                sent.add(request.key)
                in_flight[request.key] = request
                yield request

    with answer_log(writer) as log:
        if not plan.asks:
            return
        committed_at = time.monotonic()
        for done, raw in enumerate(_answers(place, requests(), in_flight, len(plan.asks)), start=1):
            answer = checked(raw)
            log.append(_answer_row(answer, in_flight.pop(answer.key), plan, place))
            if len(log) >= COMMIT_ROWS or time.monotonic() - committed_at >= COMMIT_SECONDS:
                log.commit()
                committed_at = time.monotonic()
            progress(f"asking {plan.task.name}", done, len(plan.asks))
            yield answer


def _answers(
    place: Workplace, requests: Iterator[Request], in_flight: dict[str, Request], total: int
) -> Iterator[Answer]:
    """Yield what the engine answers, and say in words when it does not hold to its promise."""
    done, model = 0, place.engine.identity.model
    kept = "what it has answered is kept, the same command goes on from there"
    try:
        for answer in place.engine.generate(requests):
            if answer.key not in in_flight:
                raise EngineFault(
                    f"the engine of {model} answered what it was not asked, or twice: {answer.key}\n  {kept}"
                )
            done += 1
            yield answer
    except EngineFault:
        raise
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        raise EngineFault(
            f"the engine of {model} broke off after {done:,} of {total:,} calls: {reason}\n  {kept}"
        ) from error
    if done < total:
        raise EngineFault(f"the engine of {model} ended after {done:,} of {total:,} calls\n  {kept}")


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
    return replace(answer, detail=answer.detail.encode("utf-8", errors="backslashreplace").decode())


def _answer_row(answer: Answer, request: Request, plan: TaskPlan, place: Workplace) -> dict[str, Any]:
    identity = place.engine.identity
    return {
        "key": answer.key,
        "text": answer.text,
        "error": answer.error,
        "detail": answer.detail,
        "prompt": plan.prompt.name if plan.prompt else "",
        "messages": json.dumps([dict(message) for message in request.messages], ensure_ascii=False),
        "model": identity.model,
        "revision": identity.revision,
        "adapter": identity.adapter,
        "sampling": json.dumps(dict(request.sampling), sort_keys=True),
        "answer_schema": json.dumps(dict(request.schema), sort_keys=True),
        "input_tokens": answer.input_tokens,
        "output_tokens": answer.output_tokens,
        "created_at": datetime.now(UTC),
    }
