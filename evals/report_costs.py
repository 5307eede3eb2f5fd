"""The cost of a release's knowledge: calls, tokens and money of all its answers, whenever they were paid."""

import json
from collections.abc import Mapping
from typing import Any

import polars as pl

from engines.request import ModelIdentity, Request, answer_key, candidates_of
from feature_store.database import Store
from feature_store.releases import Release, released_answers
from llm_tasks.pipeline.budget import Prices
from prompts.library import SHIPPED, Library, choose_prompt


def costs_of(
    store: Store,
    release: Release,
    lineage: pl.DataFrame,
    answers: pl.DataFrame,
    prices: Prices,
    candidates: Mapping[str, int],
    library: Library = SHIPPED,
) -> list[dict[str, Any]]:
    """Return one row per task, at current prices.

    Args:
        store: The store of the release.
        release: The release.
        lineage: Its rows.
        answers: The answers of these rows.
        prices: Prices of tokens.
        candidates: Task -> answers sampled for each row, one of which is kept; default 1.
        library: Where prompts are looked for.
    """
    now = {asked["task"]: asked for asked in release.facts.get("asked", [])}
    costs = []
    for (task,), rows in lineage.sort("task").group_by("task", maintain_order=True):
        paid = answers.join(rows.select(key="answer_key").unique(), on="key", how="semi")
        if (number := candidates.get(str(task), 1)) > 1:
            keys = {key for row in paid.iter_rows(named=True) for key in _sampled_beside(row, number, library)}
            paid = released_answers(store, release, keys)  # candidates that were not kept were paid for too
        spent_in, spent_out = int(paid["input_tokens"].sum()), int(paid["output_tokens"].sum())
        costs.append(
            {
                "task": task,
                "rows": len(rows),
                "calls": len(paid),
                "cached": now[task]["cached"] if task in now else len(rows),
                "input_tokens": spent_in,
                "output_tokens": spent_out,
                "cost": prices.cost(spent_in, spent_out),
                "currency": prices.currency,
            }
        )
    return costs


def _sampled_beside(answer: dict[str, Any], number: int, library: Library) -> list[str]:
    """Compute the keys of all candidates of a row, including this answer; keys depend only on content."""
    task, _, version = answer["prompt"].partition(".v")
    sampling = choose_prompt(task, int(version), library).front.sampling
    identity = ModelIdentity(answer["model"], answer["revision"], answer["adapter"])
    messages, schema = tuple(json.loads(answer["messages"])), json.loads(answer["answer_schema"])
    first = Request(answer_key(messages, identity, sampling, schema), messages, sampling, schema)
    return [one.key for one in candidates_of(first, identity, number)]
