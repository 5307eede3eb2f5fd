"""Turn the stored answers of a plan into lineage rows. Nothing is asked, so a changed parser needs no new call."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

import polars as pl

from base.failures import kind_of
from engines.request import is_utf8
from feature_store.answers import scan_answers
from feature_store.database import Writer
from feature_store.lineage import delete_lineage, part_name, read_lineage, row_key, write_lineage
from feature_store.vectors import text_key
from llm_tasks.pipeline.before import model_name
from llm_tasks.pipeline.choice import Candidate, CandidateChooser
from llm_tasks.pipeline.parse import ParseFault, Parser, one_of
from llm_tasks.pipeline.plan import PlannedRow, TaskPlan
from llm_tasks.pipeline.settled import settled_rows
from llm_tasks.pipeline.task import Parts, Task
from llm_tasks.pipeline.workplace import Workplace

COMPARED = (
    "answer_key",
    "text_key",
    "error",
    "input_digest",
    "prompt_digest",
    "seen_until",
    "model_seen_until",
    "reads",
)
"""Columns that decide whether to write a row again; if none changed, the row and its `created_at` stay."""
WRITTEN_AT_ONCE = 40_000
"""Maximum rows per commit, so that memory does not grow with their number."""
Made = tuple[PlannedRow, Parts | None, str | None]
"""A row, its texts, and the error if there is no text."""


def write_rows(plan: TaskPlan, workplace: Workplace, writer: Writer) -> dict[str, int]:
    """Parse the stored answers of a plan, write the lineage rows that changed and delete the withdrawn ones.

    A row that failed keeps the text of an earlier answer, with that answer's lineage, until a new one replaces it: if
    what it shows is the same (a prompt or a model has changed), or if the error passes.

    Args:
        plan: A plan whose calls have all been answered, if only with errors.
        workplace: Engine and store.
        writer: The store's writer.

    Returns:
        Number of rows that failed, by kind of error.
    """
    task, shared = plan.task, _shared_columns(plan, workplace)
    lineage = read_lineage(workplace.store, [task.name, *parts_of(task)], ["row", "task", "entity", "as_of", *COMPARED])
    lineage = lineage.filter(~pl.col("row").hash(0).is_in(plan.settled["row"].implode()))
    settled = settled_rows(plan, workplace, lineage, shared)
    rest = replace(plan, rows=tuple(row for row in plan.rows if row.row not in settled))
    lineage = lineage.filter(~pl.col("row").is_in(pl.Series(list(settled), dtype=pl.String).implode()))
    # 64-bit hashes: it would take billions of rows for a changed one to look unchanged.
    before = {row[0]: hash(row[4:]) for row in lineage.iter_rows()}
    # What a text has seen must still be before its row's clock, or it would leak.
    sound = lineage.drop_nulls("text_key").filter((pl.col("seen_until") <= pl.col("as_of")).fill_null(value=True))
    inputs_before = dict(sound.select("row", "input_digest").iter_rows())
    failed: dict[str, str] = {}
    # Rows of parts, with the row that they belong to: those that are not made again are deleted.
    parts = lineage.filter(pl.col("task") != task.name).select("row", "entity", "as_of")
    old = {row: row_key(task.name, entity, as_of) for row, entity, as_of in parts.iter_rows()}
    del lineage
    errors: Counter[str] = Counter()
    changed: list[dict[str, Any]] = []
    again, made_again = set[str](), set[str]()
    for planned, texts, error in _made(rest, workplace):
        if error:
            errors[error.split(":")[0]] += 1
            same_input = inputs_before.get(planned.row) == planned.input_digest
            if planned.row in inputs_before and (same_input or kind_of(error).passes):
                failed[planned.row] = error
                continue
        again.add(planned.row)
        for row in [shared | own for own in _rows_of(task, planned, texts, error)]:
            made_again.add(row["row"])
            if before.get(row["row"]) != hash(tuple(row[name] for name in COMPARED)):
                changed.append(row)
        if len(changed) >= WRITTEN_AT_ONCE:
            write_lineage(writer, changed)
            changed = []
    write_lineage(writer, [*changed, *_with_old_texts(task, workplace, failed)])
    gone = {part for part, whole in old.items() if whole in again | {*plan.withdrawn} and part not in made_again}
    if plan.withdrawn or gone:
        delete_lineage(writer, [*plan.withdrawn, *sorted(gone)])
    return dict(errors)


def _with_old_texts(task: Task, workplace: Workplace, failed: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return the stored rows that failed now: all of them stays but the error, which is that of the newest answer."""
    if not failed:
        return []
    kept = read_lineage(workplace.store, [task.name]).filter(
        pl.col("row").is_in(pl.Series(list(failed), dtype=pl.String).implode())
    )
    old = [(row, failed[row["row"]]) for row in kept.iter_rows(named=True)]
    return [{**row, "error": error} for row, error in old if row["error"] != error]


def parts_of(task: Task) -> list[str]:
    """Return the names of the parts of a technique's answers, as rows and vectors use them."""
    return [part_name(task.name, part) for part in task.parts]


def _shared_columns(plan: TaskPlan, workplace: Workplace) -> dict[str, Any]:
    identity = workplace.identity_of(plan.task)
    return {
        "entity_type": plan.task.entity,
        "prompt": plan.prompt.name if plan.prompt else None,
        "prompt_digest": plan.prompt.digest if plan.prompt else None,
        "model": model_name(identity) if plan.prompt else None,
        "model_seen_until": identity.seen_until if plan.prompt else None,
    }


def _rows_of(task: Task, planned: PlannedRow, texts: Parts | None, error: str | None) -> Iterator[dict[str, Any]]:
    """Yield the row itself, then a row for every text of every part."""
    own = _own_columns(planned, texts.text if texts else None, error)
    yield {"task": task.name, "row": planned.row, **own}
    for part, said in (texts.parts if texts else {}).items():
        name = part_name(task.name, part)
        several = [said] if isinstance(said, str) else said
        for number, text in enumerate(several):
            key = row_key(name, planned.entity, planned.as_of)
            row = key if isinstance(said, str) else f"{key}/{number}"
            yield {"task": name, "row": row, **_own_columns(planned, text, None)}


def _own_columns(planned: PlannedRow, text: str | None, error: str | None) -> dict[str, Any]:
    return {
        "entity": planned.entity,
        "as_of": planned.as_of,
        "seen_until": planned.seen_until,
        "created_at": datetime.now(UTC),
        "answer_key": planned.answer_key,
        "input_digest": planned.input_digest,
        "text": text,
        "text_key": text_key(text) if text is not None else None,
        "error": error,
        "reads": planned.reads,
    }


def _made(plan: TaskPlan, workplace: Workplace) -> Iterator[Made]:
    """Yield every row of a plan: first those without an answer, then the others in the order of stored answers."""
    waiting: dict[str, PlannedRow] = {}
    several = [planned for planned in plan.rows if planned.candidates]
    sharing: dict[str, list[PlannedRow]] = {}  # rows that share the answer another row waits for
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
    parser, identity = Parser(plan.prompt.front.answer_schema), workplace.identity_of(plan.task)
    columns = ["key", "text", "error", "detail", "created_at"]
    choice = CandidateChooser(plan, workplace)
    keys, model = waiting.keys() | choice.wanted, (identity.model, identity.revision, identity.adapter)
    for answers in scan_answers(workplace.store, keys, columns, *model):
        for key, raw, error, detail, created_at in answers.iter_rows():
            if key in choice.wanted:
                texts, fault = (None, f"{error}: {detail}") if error else texts_of(raw, plan.task, parser)
                choice.add(Candidate(key, texts.text if texts else None, fault, created_at))
            if key in waiting:
                for planned in [waiting.pop(key), *sharing.pop(key, ())]:
                    own = planned.choices
                    texts, fault = (None, f"{error}: {detail}") if error else texts_of(raw, plan.task, parser, own)
                    yield planned, texts, fault
    assert not waiting  # an engine that leaves one out has raised EngineFault
    yield from map(partial(_chosen, choice), several)


def _chosen(choice: CandidateChooser, planned: PlannedRow) -> Made:
    """Make a row with several sampled answers."""
    best, text, fault = choice.made(planned)
    return best, None if text is None else Parts(text, {}), fault


def _unasked(planned: PlannedRow, plan: TaskPlan) -> Made:
    """Make a row that no model is asked about, or whose prompt cannot be sent."""
    if plan.prompt is not None:
        return planned, None, planned.why
    if is_utf8(planned.text or ""):
        return planned, Parts(planned.text or "", planned.parts), None
    return planned, None, f"not_utf8: {plan.task.name} makes a text that cannot be kept"


def texts_of(raw: str, task: Task, parser: Parser, choices: tuple[str, ...] = ()) -> tuple[Parts | None, str | None]:
    """Return the texts to encode of a raw answer, or the error if there are none.

    Args:
        raw: The answer.
        task: Its technique.
        parser: Reads answers of its prompt.
        choices: The allowed answers, if the row has its own.
    """
    try:
        answer = parser(raw)
        chosen = one_of(str(answer), choices) if choices else answer
        return _encodable(task, task.encode(chosen)), None
    except ParseFault as fault:
        return None, f"parse: {fault}"
    except Exception as error:  # an answer that a technique's `encode` cannot handle is one bad row
        return None, f"parse: {type(error).__name__}: {error}"


def _encodable(task: Task, made: str | Parts) -> Parts:
    """Check the texts of an answer; parts without a text are dropped."""
    if isinstance(made, str) and made.strip() and is_utf8(made):
        return Parts(made, {})
    whole = made if isinstance(made, Parts) else Parts(made, {})
    if undeclared := set(whole.parts) - set(task.parts):
        raise ParseFault(f"the technique does not declare its parts {', '.join(sorted(undeclared))}")
    parts: dict[str, str | list[str]] = {}
    for part, said in whole.parts.items():
        kept = said.strip() if isinstance(said, str) else [one for one in said if one.strip()]
        if kept:
            parts[part] = kept
    every = [whole.text, *(one for said in parts.values() for one in ([said] if isinstance(said, str) else said))]
    if not whole.text.strip() or not all(map(is_utf8, every)):
        raise ParseFault("the technique makes no text of the answer that could be encoded")
    return Parts(whole.text, parts)
