"""Rows: from the stored answers of a plan to the lineage. Nothing is asked, so that a changed parser costs no call."""

from datetime import UTC, datetime
from typing import Any

from feature_store.answers import read_answers
from feature_store.database import Writer
from feature_store.lineage import delete_lineage, read_lineage, write_lineage
from feature_store.vectors import text_key
from llm_tasks.pipeline.before import model_name
from llm_tasks.pipeline.parse import ParseFault, Parser
from llm_tasks.pipeline.plan import PlannedRow, TaskPlan
from llm_tasks.pipeline.request import is_utf8
from llm_tasks.pipeline.workplace import Workplace

COMPARED = ("answer_key", "text_key", "error", "input_digest", "prompt_digest", "seen_until")
"""What makes a row worth writing again; when none of it changed, the row and its `created_at` stay."""


def write_rows(plan: TaskPlan, place: Workplace, writer: Writer) -> dict[str, int]:
    """Parse the stored answers of a plan, write the lineage rows that changed and delete the withdrawn ones.

    Args:
        plan: A plan whose calls have all been answered, if only by errors.
        place: Engine and store.
        writer: The store's writer.

    Returns:
        Number of rows without a text, by kind of error.
    """
    keys = [row.answer_key for row in plan.rows if row.answer_key]
    stored = read_answers(place.store, keys, ["key", "text", "error", "detail"]) if keys else None
    answers = {row["key"]: row for row in stored.iter_rows(named=True)} if stored is not None else {}
    lineage = read_lineage(place.store, [plan.task.name], ["row", *COMPARED])
    before = {row[0]: row[1:] for row in lineage.iter_rows()}
    changed: list[dict[str, Any]] = []
    errors: dict[str, int] = {}
    parser = Parser(plan.prompt.front.answer_schema) if plan.prompt else None
    shared = {
        "task": plan.task.name,
        "entity_type": plan.task.entity,
        "prompt": plan.prompt.name if plan.prompt else None,
        "prompt_digest": plan.prompt.digest if plan.prompt else None,
        "model": model_name(place.identity_of(plan.task.name)) if plan.prompt else None,
    }
    for planned in plan.rows:
        row = shared | _own_columns(planned, *_text(planned, plan, parser, answers))
        if row["error"]:
            kind = row["error"].split(":")[0]
            errors[kind] = errors.get(kind, 0) + 1
        if before.get(planned.row) != tuple(row[name] for name in COMPARED):
            changed.append(row)
    write_lineage(writer, changed)
    if plan.withdrawn:
        delete_lineage(writer, plan.withdrawn)
    return errors


def _own_columns(planned: PlannedRow, text: str | None, error: str | None) -> dict[str, Any]:
    return {
        "row": planned.row,
        "entity": planned.source.entity,
        "as_of": planned.source.as_of,
        "seen_until": planned.source.seen_until,
        "created_at": datetime.now(UTC),
        "answer_key": planned.answer_key,
        "input_digest": planned.input_digest,
        "text": text,
        "text_key": text_key(text) if text is not None else None,
        "error": error,
    }


def _text(
    planned: PlannedRow, plan: TaskPlan, parser: Parser | None, answers: dict[str, dict]
) -> tuple[str | None, str | None]:
    """Text to encode, or the error that left none."""
    if parser is None:
        made = plan.task.encode(planned.source.variables["text"])
        return (made, None) if is_utf8(made) else (None, f"not_utf8: {plan.task.name} makes a text that cannot be kept")
    if planned.answer_key is None:
        return None, planned.why
    answer = answers[planned.answer_key]  # an engine that leaves one out has been refused
    if answer["error"]:
        return None, f"{answer['error']}: {answer['detail']}"
    try:
        return _encodable(plan.task.encode(parser(answer["text"]))), None
    except ParseFault as fault:
        return None, f"parse: {fault}"
    except Exception as error:  # an answer that a technique's own parser did not foresee is one bad row
        return None, f"parse: {type(error).__name__}: {error}"


def _encodable(text: str) -> str:
    if not text.strip() or not is_utf8(text):
        raise ParseFault("the technique makes no text of the answer that could be encoded")
    return text
