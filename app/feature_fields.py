"""Parsed fields of answers as features: what a release's answers say, by their declared forms."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import polars as pl

from app.feature_choice import FeatureChoice, column_name
from feature_store.database import Store
from feature_store.features import OF_WHOM, Column, Source
from feature_store.releases import Release, released_answers, released_lineage
from llm_tasks.pipeline.parse import ParseFault, Parser
from prompts.schema import ChoiceSchema, ObjectSchema, ScoresSchema, read_schema

ROWS = ["row", "entity_type", "entity", "as_of", "model_seen_until", "answer_key", "text", "prompt", "model"]
TYPES: dict[str, pl.DataType] = {
    "text": pl.String(),
    "choice": pl.String(),
    "number": pl.Float64(),
    "integer": pl.Int64(),
    "boolean": pl.Boolean(),
    "list": pl.List(pl.String()),
}
"""Types of fields of an answer -> types of columns."""
ANSWER = "answer"
"""Name of the field of an answer that is one of some choices."""
TEXT = "text"
"""Name of the column of the text that is encoded, which is added only where it is asked for by name."""


def field_source(store: Store, release: Release, task: str, choice: FeatureChoice) -> Source | None:
    """Read what a release's answers of one technique say.

    Args:
        store: The store.
        release: The release.
        task: The technique, or TECHNIQUE.PART.
        choice: Which features are wanted.

    Returns:
        The fields, each row known from the later of its own clock and of what its model was tuned on; None if there is
        nothing that is wanted.
    """
    rows = released_lineage(store, release, [task], ROWS).drop_nulls("text").sort("row")
    if rows.is_empty() or rows["entity_type"][0] not in OF_WHOM:
        return None
    facts = {
        "task": task,
        "entity": rows["entity_type"][0],
        "prompts": rows["prompt"].drop_nulls().unique().sort().to_list(),
        "models": rows["model"].drop_nulls().unique().sort().to_list(),
    }
    columns = [
        Column(name, values, {"meaning": meaning, **facts})
        for name, values, meaning in _fields(store, release, task, rows)
        if choice.wants_column(name, by_default=True)
    ]
    text = column_name(task, TEXT)
    if choice.wants_column(text, by_default=False):
        columns.append(Column(text, rows["text"], {"meaning": f"the text of {task} that is encoded", **facts}))
    if not columns:
        return None
    known = rows.select(pl.max_horizontal("as_of", "model_seen_until")).to_series()
    microseconds = known.dt.cast_time_unit("us").to_physical().to_numpy()
    return Source(task, facts["entity"], rows["entity"].to_numpy().astype(str), microseconds, tuple(columns))


def _fields(store: Store, release: Release, task: str, rows: pl.DataFrame) -> Iterator[tuple[str, pl.Series, str]]:
    """Yield the name, the values by row, and the meaning of every field that the answers have."""
    keys = rows["answer_key"].drop_nulls().unique()
    answers = released_answers(store, release, keys, ["key", "text", "answer_schema"]).drop_nulls("text")
    parsed: dict[str, Mapping[str, Any]] = {}
    types: dict[str, pl.DataType] = {}
    for (declared,), of_form in answers.group_by("answer_schema", maintain_order=True):
        schema = json.loads(str(declared))
        here = _types(schema)
        types |= here
        if here:
            parsed |= dict(_parsed(of_form, Parser(schema)))
    for name, kind in types.items():
        said = [parsed.get(key, {}).get(name) for key in rows["answer_key"]]
        values = pl.Series([_fitting(one, kind) for one in said], dtype=kind, strict=False)
        yield column_name(task, name), values, f"{name} in the answer of {task}"


def _types(schema: Mapping[str, Any]) -> dict[str, pl.DataType]:
    """Return the fields of a form; a free text has none."""
    form = read_schema(schema)
    if isinstance(form, ObjectSchema):
        return {name: TYPES[one.type] for name, one in form.fields.items()}
    if isinstance(form, ScoresSchema):
        return {name: TYPES["number"] for name in form.candidates}  # noqa: C420 - fromkeys loses the type
    return {ANSWER: TYPES["choice"]} if isinstance(form, ChoiceSchema) else {}


def _parsed(answers: pl.DataFrame, parser: Parser) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for key, text in answers.select("key", "text").iter_rows():
        try:
            said = parser(text)
        except ParseFault:  # of a row whose parser has become stricter since
            continue
        yield key, said if isinstance(said, dict) else {ANSWER: said}


def _fitting(value: Any, kind: pl.DataType) -> Any:
    """Return a value, or None where the field's form has changed between versions of a prompt."""
    if value is None or isinstance(value, list) != isinstance(kind, pl.List):
        return None
    return str(value) if isinstance(kind, pl.String) else value
