"""What the knowledge of a release cost: calls, tokens and money of all answers it rests on, whenever they were paid."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from engines.request import ModelIdentity, Request, answer_key, candidates_of
from feature_store.database import Store
from feature_store.releases import Release, released_answers
from llm_tasks.pipeline.budget import Prices
from prompts.library import choose_prompt


def costs_of(
    store: Store,
    release: Release,
    lineage: pl.DataFrame,
    answers: pl.DataFrame,
    prices: Prices,
    candidates: Mapping[str, int],
    plugins: Sequence[Path] = (),
) -> list[dict[str, Any]]:
    """One row a task, by the prices of today.

    Args:
        store: Where the release is.
        release: The release.
        lineage: Its rows.
        answers: The answers that they name.
        prices: What tokens cost.
        candidates: Task -> answers that are sampled for each row, one of which is kept; a missing task has one.
        plugins: Folders of a team's own prompts.
    """
    now = {asked["task"]: asked for asked in release.facts.get("asked", [])}
    costs = []
    for (task,), rows in lineage.sort("task").group_by("task", maintain_order=True):
        paid = answers.join(rows.select(key="answer_key").unique(), on="key", how="semi")
        if (number := candidates.get(str(task), 1)) > 1:
            keys = {key for row in paid.iter_rows(named=True) for key in _sampled_beside(row, number, plugins)}
            paid = released_answers(store, release, keys)  # those that were not kept were paid for, too
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


def _sampled_beside(answer: dict[str, Any], number: int, plugins: Sequence[Path]) -> list[str]:
    """Keys of all candidates of a row, one of which is this answer: they are content and can be made again."""
    task, _, version = answer["prompt"].partition(".v")
    sampling = choose_prompt(task, int(version), plugins).front.sampling
    identity = ModelIdentity(answer["model"], answer["revision"], answer["adapter"])
    messages, schema = tuple(json.loads(answer["messages"])), json.loads(answer["answer_schema"])
    first = Request(answer_key(messages, identity, sampling, schema), messages, sampling, schema)
    return [one.key for one in candidates_of(first, identity, number)]
