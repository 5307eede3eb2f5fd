"""Rows: from the stored answers of a plan to the lineage. Nothing is asked, so that a changed parser costs no call."""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from engines.request import is_utf8
from feature_store.answers import scan_answers
from feature_store.database import Writer
from feature_store.lineage import delete_lineage, read_lineage, write_lineage
from feature_store.vectors import text_key
from llm_tasks.pipeline.before import model_name
from llm_tasks.pipeline.choice import Candidate, Choice
from llm_tasks.pipeline.parse import ParseFault, Parser
from llm_tasks.pipeline.plan import PlannedRow, TaskPlan
from llm_tasks.pipeline.workplace import Workplace

COMPARED = ("answer_key", "text_key", "error", "input_digest", "prompt_digest", "seen_until", "model_seen_until")
"""What makes a row worth writing again; when none of it changed, the row and its `created_at` stay."""
WRITTEN_AT_ONCE = 10_000
"""Rows in one commit, so that memory does not grow with their number."""
Made = tuple[PlannedRow, str | None, str | None]
"""A row, its text, and the error that left none."""


def write_rows(plan: TaskPlan, place: Workplace, writer: Writer) -> dict[str, int]:
    """Parse the stored answers of a plan, write the lineage rows that changed and delete the withdrawn ones.

    Args:
        plan: A plan whose calls have all been answered, if only by errors.
        place: Engine and store.
        writer: The store's writer.

    Returns:
        Number of rows without a text, by kind of error.
    """
    lineage = read_lineage(place.store, [plan.task.name], ["row", *COMPARED])
    # Hashes of 64 bits: that a changed row looks unchanged would take billions of them.
    before = {row[0]: hash(row[1:]) for row in lineage.iter_rows()}
    del lineage
    errors: Counter[str] = Counter()
    changed: list[dict[str, Any]] = []
    identity = place.identity_of(plan.task)
    shared = {
        "task": plan.task.name,
        "entity_type": plan.task.entity,
        "prompt": plan.prompt.name if plan.prompt else None,
        "prompt_digest": plan.prompt.digest if plan.prompt else None,
        "model": model_name(identity) if plan.prompt else None,
        "model_seen_until": identity.seen_until if plan.prompt else None,
    }
    for planned, text, error in _made(plan, place):
        row = shared | _own_columns(planned, text, error)
        if error:
            errors[error.split(":")[0]] += 1
        if before.get(planned.row) != hash(tuple(row[name] for name in COMPARED)):
            changed.append(row)
        if len(changed) >= WRITTEN_AT_ONCE:
            write_lineage(writer, changed)
            changed = []
    write_lineage(writer, changed)
    if plan.withdrawn:
        delete_lineage(writer, plan.withdrawn)
    return dict(errors)


def _own_columns(planned: PlannedRow, text: str | None, error: str | None) -> dict[str, Any]:
    return {
        "row": planned.row,
        "entity": planned.entity,
        "as_of": planned.as_of,
        "seen_until": planned.seen_until,
        "created_at": datetime.now(UTC),
        "answer_key": planned.answer_key,
        "input_digest": planned.input_digest,
        "text": text,
        "text_key": text_key(text) if text is not None else None,
        "error": error,
    }


def _made(plan: TaskPlan, place: Workplace) -> Iterator[Made]:
    """Make every row of a plan: those without an answer, then the others in the order in which answers are stored."""
    waiting: dict[str, PlannedRow] = {}
    several = [planned for planned in plan.rows if planned.candidates]
    sharing: dict[str, list[PlannedRow]] = {}  # rows whose answer another row waits for already
    for planned in plan.rows:
        if planned.candidates:
            continue
        if planned.answer_key is None:
            yield _unasked(planned, plan)
        elif planned.answer_key in waiting:
            sharing.setdefault(planned.answer_key, []).append(planned)
        else:
            waiting[planned.answer_key] = planned
    if plan.prompt is None or not (waiting or several):
        return
    parser, identity = Parser(plan.prompt.front.answer_schema), place.identity_of(plan.task)
    columns = ["key", "text", "error", "detail", "created_at"]
    choice = Choice(plan, place)
    for answers in scan_answers(place.store, columns, identity.model, identity.revision, identity.adapter):
        for key, raw, error, detail, created_at in answers.iter_rows():
            if key not in waiting and key not in choice.wanted:
                continue
            text, fault = (None, f"{error}: {detail}") if error else _parsed(raw, plan, parser)
            if key in choice.wanted:
                choice.add(Candidate(key, text, fault, created_at))
            if key in waiting:
                for planned in [waiting.pop(key), *sharing.pop(key, ())]:
                    yield planned, text, fault
    assert not waiting  # an engine that leaves one out has been refused
    yield from map(choice.made, several)


def _unasked(planned: PlannedRow, plan: TaskPlan) -> Made:
    """A row that no model is asked about, or whose prompt cannot be sent."""
    if plan.prompt is not None:
        return planned, None, planned.why
    if is_utf8(planned.text or ""):
        return planned, planned.text, None
    return planned, None, f"not_utf8: {plan.task.name} makes a text that cannot be kept"


def _parsed(raw: str, plan: TaskPlan, parser: Parser) -> tuple[str | None, str | None]:
    """Text to encode, or the error that left none."""
    try:
        return _encodable(plan.task.encode(parser(raw))), None
    except ParseFault as fault:
        return None, f"parse: {fault}"
    except Exception as error:  # an answer that a technique's own parser did not foresee is one bad row
        return None, f"parse: {type(error).__name__}: {error}"


def _encodable(text: str) -> str:
    if not text.strip() or not is_utf8(text):
        raise ParseFault("the technique makes no text of the answer that could be encoded")
    return text
