"""Generation: only what is missing is asked, and every answer is committed as it comes, not when the batch ends."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from feature_store.answers import read_answers, write_answers
from feature_store.database import Writer
from feature_store.lineage import read_lineage, write_lineage
from feature_store.vectors import text_key
from llm_tasks.pipeline.parse import ParseFault, parse_answer
from llm_tasks.pipeline.plan import PlannedRow, TaskPlan, Workplace, model_name, task_rows
from llm_tasks.pipeline.request import Answer, Request
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


def generate(plan: TaskPlan, place: Workplace, writer: Writer, progress: Progress) -> Generated:
    """Ask what the plan says, then write the lineage of all its rows.

    Args:
        plan: From `plan_task`.
        place: Data, engine and store.
        writer: The store's writer.
        progress: Told how many calls are done.

    Returns:
        Counts of what was asked and of rows without a text.
    """
    tokens_in = tokens_out = answered = 0
    for answer in _ask(plan, place, writer, progress):
        answered += answer.error is None
        tokens_in, tokens_out = tokens_in + answer.input_tokens, tokens_out + answer.output_tokens
    errors = write_rows(plan, place, writer)
    return Generated(plan.task.name, len(plan.rows), len(plan.asks), answered, errors, tokens_in, tokens_out)


def _ask(plan: TaskPlan, place: Workplace, writer: Writer, progress: Progress) -> Iterator[Answer]:
    in_flight: dict[str, Request] = {}

    def requests() -> Iterator[Request]:
        sent: set[str] = set()
        for _, request in task_rows(plan.task, plan.prompt, place):
            if request is not None and request.key in plan.asks and request.key not in sent:
                sent.add(request.key)
                in_flight[request.key] = request
                yield request

    if not plan.asks:
        return
    buffer: list[dict[str, Any]] = []
    committed_at, done = time.monotonic(), 0
    try:
        for answer in place.engine.generate(requests()):
            buffer.append(_answer_row(answer, in_flight.pop(answer.key), plan, place))
            done += 1
            if len(buffer) >= COMMIT_ROWS or time.monotonic() - committed_at >= COMMIT_SECONDS:
                write_answers(writer, buffer)
                buffer, committed_at = [], time.monotonic()
            progress(f"asking {plan.task.name}", done, len(plan.asks))
            yield answer
    finally:  # an interrupt keeps what has been answered
        write_answers(writer, buffer)


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


def write_rows(plan: TaskPlan, place: Workplace, writer: Writer) -> dict[str, int]:
    """Parse the stored answers of a plan and write the lineage rows that changed.

    Parsing reads the stored raw text, so that a changed parser asks for nothing.

    Returns:
        Number of rows without a text, by kind of error.
    """
    keys = [row.answer_key for row in plan.rows if row.answer_key]
    answers = {row["key"]: row for row in read_answers(place.store, keys).iter_rows(named=True)} if keys else {}
    columns = ["row", "answer_key", "text_key", "error", "input_digest", "prompt_digest"]
    before = {row[0]: row[1:] for row in read_lineage(place.store, [plan.task.name], columns).iter_rows()}
    changed: list[dict[str, Any]] = []
    errors: dict[str, int] = {}
    for planned in plan.rows:
        row = _lineage_row(planned, plan, place, answers)
        if row["error"]:
            kind = row["error"].split(":")[0]
            errors[kind] = errors.get(kind, 0) + 1
        if before.get(planned.row) != tuple(row[name] for name in columns[1:]):
            changed.append(row)
    write_lineage(writer, changed)
    return errors


def _lineage_row(planned: PlannedRow, plan: TaskPlan, place: Workplace, answers: dict[str, dict]) -> dict[str, Any]:
    text, error = _text(planned, plan, answers)
    return {
        "row": planned.row,
        "task": plan.task.name,
        "entity_type": plan.task.entity,
        "entity": planned.source.entity,
        "as_of": planned.source.as_of,
        "seen_until": planned.source.seen_until,
        "created_at": datetime.now(UTC),
        "answer_key": planned.answer_key,
        "prompt": plan.prompt.name if plan.prompt else None,
        "prompt_digest": plan.prompt.digest if plan.prompt else None,
        "input_digest": planned.input_digest,
        "model": model_name(place.engine.identity) if plan.prompt else None,
        "text": text,
        "text_key": text_key(text) if text is not None else None,
        "error": error,
    }


def _text(planned: PlannedRow, plan: TaskPlan, answers: dict[str, dict]) -> tuple[str | None, str | None]:
    """Text to encode, or the error that left none."""
    if plan.prompt is None:
        return plan.task.encode(planned.source.variables["text"]), None
    answer = answers.get(planned.answer_key or "")
    if answer is None:
        return None, "not_asked: the run was stopped before this row"
    if answer["error"]:
        return None, f"{answer['error']}: {answer['detail']}"
    try:
        return plan.task.encode(parse_answer(answer["text"], plan.prompt.front.answer_schema)), None
    except ParseFault as fault:
        return None, f"parse: {fault}"
