"""Read the stored answers of one technique for another: text, parsed fields and `as_of`."""

import json
from datetime import datetime

from feature_store.answers import read_answers
from feature_store.database import Store
from feature_store.lineage import read_lineage
from llm_tasks.pipeline.parse import Parser
from llm_tasks.pipeline.task import Read, Reads

COLUMNS = ["row", "entity", "as_of", "model_seen_until", "answer_key", "text"]


def read_task(store: Store, task: str) -> Reads:
    """Read all rows of a technique that have a text.

    Args:
        store: The store.
        task: Name of the technique.
    """
    rows = read_lineage(store, [task], COLUMNS).drop_nulls("text").sort("entity", "as_of", "row")
    answers = read_answers(store, rows["answer_key"].drop_nulls(), ["key", "text", "answer_schema"])
    raw = {key: (text, schema) for key, text, schema in answers.iter_rows()}
    parsers: dict[str, Parser] = {}
    of_entity: dict[str, list[Read]] = {}
    for row, entity, as_of, seen, key, text in rows.iter_rows():
        fields = text
        if key in raw:
            answer, schema = raw[key]
            if schema not in parsers:
                parsers[schema] = Parser(json.loads(schema))
            fields = parsers[schema](answer)
        of_entity.setdefault(entity, []).append(Read(row, entity, _known(as_of, seen), text, fields))
    for found in of_entity.values():
        found.sort(key=lambda one: one.as_of)
    return Reads(of_entity)


def _known(as_of: datetime, model_seen_until: datetime | None) -> datetime:
    """Return when a row may be shown: a row about an event keeps its time, but its model's tuning counts too."""
    return as_of if model_seen_until is None else max(as_of, model_seen_until)
