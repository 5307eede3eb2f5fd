"""Find the rows of a plan that the lineage already holds as they are: in a nightly run, nearly all of them.

Such a row was made of the same answer, prompt, input and clocks, and its answer still gives its text. The answer is
parsed again to know that, because the store holds no version of our code; nothing else is made of it.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import polars as pl

from feature_store.answers import scan_answers
from feature_store.vectors import text_key
from llm_tasks.pipeline.parse import Parser
from llm_tasks.pipeline.plan import TaskPlan
from llm_tasks.pipeline.row_planner import PlannedRow
from llm_tasks.pipeline.workplace import Workplace

OWN = ("answer_key", "input_digest", "seen_until", "reads")
"""Columns of the lineage that differ from row to row."""
SHARED = ("prompt_digest", "model_seen_until")
"""Columns of the lineage that all rows of a plan share."""


def settled_rows(plan: TaskPlan, workplace: Workplace, lineage: pl.DataFrame, shared: Mapping[str, Any]) -> set[str]:
    """Return the keys of rows that need not be made again.

    Rows without a single answer of their own (sampled ones, parts, choices, errors, texts that no model gave) are left
    out: they are made, and compared then.

    Args:
        plan: The plan.
        workplace: Engine and store.
        lineage: The lineage of its technique, with `row`, `text_key`, `error` and the columns in `OWN` and `SHARED`.
        shared: The columns that all rows of the plan share.
    """
    single = [row for row in plan.rows if row.answer_key is not None and not (row.candidates or row.choices)]
    if plan.prompt is None or plan.task.parts or not single or lineage.is_empty():
        return set()
    same = _same(single, lineage, shared)
    texts = dict(same.select("answer_key", "text_key").iter_rows())
    confirmed = _confirmed(texts, _encoded(plan), workplace, plan)
    pairs = same.select("row", "answer_key", "text_key").iter_rows()
    return {row for row, key, text in pairs if key in confirmed and texts[key] == text}


def _same(rows: Sequence[PlannedRow], lineage: pl.DataFrame, shared: Mapping[str, Any]) -> pl.DataFrame:
    """Return the stored rows with a text of which nothing but the text could have changed."""
    planned = pl.DataFrame(
        {name: pl.Series([getattr(row, name) for row in rows], dtype=lineage.schema[name]) for name in ("row", *OWN)}
    )
    of_all = [pl.col(name).eq_missing(pl.lit(shared[name], lineage.schema[name])) for name in SHARED]
    stored = lineage.filter(pl.col("error").is_null(), pl.col("text_key").is_not_null(), *of_all)
    return stored.join(planned, on=["row", *OWN], how="semi", nulls_equal=True)


def _confirmed(
    texts: Mapping[str, str], encoded: Callable[[str], object], workplace: Workplace, plan: TaskPlan
) -> set[str]:
    """Return the keys of answers that give the texts that they gave before."""
    identity, confirmed = workplace.identity_of(plan.task), set[str]()
    columns = ["key", "text", "error"]
    model = (identity.model, identity.revision, identity.adapter)
    for answers in scan_answers(workplace.store, texts.keys(), columns, *model):
        for key, raw, error in answers.iter_rows():
            if error is not None:
                continue
            try:
                text = encoded(raw)
            except Exception:  # the row is made, which says what is wrong
                continue
            if isinstance(text, str) and text.strip() and text_key(text) == texts[key]:
                confirmed.add(key)
    return confirmed


def _encoded(plan: TaskPlan) -> Callable[[str], object]:
    """Return what makes the text of a raw answer."""
    assert plan.prompt is not None  # rows without one are left out
    parser, encode = Parser(plan.prompt.front.answer_schema), plan.task.encode
    return lambda raw: encode(parser(raw))
