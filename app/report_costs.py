"""What the knowledge of a release cost: calls, tokens and money of all answers it rests on, whenever they were paid."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from app.config import Config
from app.workplace import open_store
from engines.request import ModelIdentity, Request, answer_key, candidates_of
from feature_store.releases import Release, released_answers
from llm_tasks.pipeline.task import SampledOptions
from prompts.library import choose_prompt


def costs_of(config: Config, release: Release, lineage: pl.DataFrame, answers: pl.DataFrame) -> list[dict[str, Any]]:
    """One row a task, by the prices of today.

    Args:
        config: The config.
        release: The release.
        lineage: Its rows.
        answers: The answers that they name.
    """
    now = {asked["task"]: asked for asked in release.facts.get("asked", [])}
    costs = []
    for (task,), rows in lineage.sort("task").group_by("task", maintain_order=True):
        paid = answers.join(rows.select(key="answer_key").unique(), on="key", how="semi")
        paid = _with_candidates(config, release, str(task), paid).select("key", "input_tokens", "output_tokens")
        spent_in, spent_out = int(paid["input_tokens"].sum()), int(paid["output_tokens"].sum())
        costs.append(
            {
                "task": task,
                "rows": len(rows),
                "calls": len(paid),
                "cached": now[task]["cached"] if task in now else len(rows),
                "input_tokens": spent_in,
                "output_tokens": spent_out,
                "cost": config.prices.cost(spent_in, spent_out),
                "currency": config.prices.currency,
            }
        )
    return costs


def _with_candidates(config: Config, release: Release, task: str, chosen: pl.DataFrame) -> pl.DataFrame:
    """The answers of a task with those that were sampled beside them and not kept: they were paid for, too."""
    options = config.tasks.get(task)
    if not isinstance(options, SampledOptions) or options.candidates == 1:
        return chosen
    keys = {
        key
        for row in chosen.iter_rows(named=True)
        for key in _sampled_beside(row, options.candidates, config.plugin_folders)
    }
    return released_answers(open_store(config), release, keys)


def _sampled_beside(answer: dict[str, Any], number: int, plugins: Sequence[Path]) -> list[str]:
    """Keys of all candidates of a row, one of which is this answer: they are content and can be made again."""
    task, _, version = answer["prompt"].partition(".v")
    sampling = choose_prompt(task, int(version), plugins).front.sampling
    identity = ModelIdentity(answer["model"], answer["revision"], answer["adapter"])
    messages, schema = tuple(json.loads(answer["messages"])), json.loads(answer["answer_schema"])
    first = Request(answer_key(messages, identity, sampling, schema), messages, sampling, schema)
    return [one.key for one in candidates_of(first, identity, number)]
