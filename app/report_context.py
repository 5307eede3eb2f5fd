"""What a report shows besides the numbers: release, coverage, tokens and money, examples, caveats."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import polars as pl

from app.comparison import read_scores
from app.config import Config
from app.report_caveats import caveats_of
from app.report_costs import costs_of
from app.report_examples import in_context
from app.train_runs import TrainRun
from app.workplace import open_domain, open_store
from engines.choose import build_engine
from evals.figures import calibration_curves
from evals.report import ReportContext
from feature_store.releases import get_release, released_answers, released_lineage
from llm_tasks.pipeline.catalogue import find_tasks

EXAMPLES = 2
"""Answers shown of each task."""


def report_context(config: Config, run: TrainRun, result: Mapping[str, Any]) -> ReportContext:
    """Collect everything from the run and the release it read."""
    noted = run.read("run")
    release = get_release(open_store(config), noted["release"])
    lineage = released_lineage(open_store(config), release)
    answers = released_answers(open_store(config), release, lineage["answer_key"].drop_nulls().to_list())
    costs = costs_of(config, release, lineage, answers)
    return ReportContext(
        title="What the model's knowledge is worth",
        made_at=datetime.now(UTC),
        command=f"knowflow train --config {config.path.name} --release {release.name}\n"
        f"knowflow report --config {config.path.name}",
        data=noted["data"],
        arms={arm: f"{about}{_reads(noted['uses'][arm])}" for arm, about in noted["arms"].items()},
        calibration=calibration_curves(read_scores(run)),
        coverage=_coverage(lineage, noted["coverage"]),
        costs=costs,
        token_counter=build_engine(
            config.engine, open_domain(config), config.folder, folders=config.plugin_folders
        ).token_counter,
        examples=_examples(lineage, answers),
        release={
            "name": release.name,
            "created_at": release.created_at,
            "versions": release.versions,
            "facts": release.facts,
        },
        caveats=caveats_of(noted, release, find_tasks(config.plugin_folders)),
        seeds=len(noted["train"]["seeds"]),
        seconds=sum(trained["cpu_seconds"] for trained in result["training"].values()),
        in_context=in_context(config, lineage, result, costs),
    )


def _reads(uses: list) -> str:
    told = "; ".join(f"{adapter.replace('_', ' ')} of {', '.join(vectors)}" for adapter, vectors in uses)
    return f" Reads: {told}." if told else ""


def _coverage(lineage: pl.DataFrame, shares: Mapping[str, Mapping[str, float | None]]) -> list[dict[str, Any]]:
    rows = lineage.group_by("task").agg(
        pl.col("entity_type").first().alias("entity"),
        pl.len().alias("rows"),
        pl.col("entity").n_unique().alias("entities"),
    )
    # Rows about events are found by similarity, whoever the sample's user and whatever its item: they cover no sample.
    none: Mapping[str, float | None] = dict.fromkeys(("all", "test", "cold"))
    return [
        {**row, **shares.get(row["task"], none)}
        for row in rows.sort("task").to_dicts()
        if row["task"] in shares or row["entity"] == "event"
    ]


def _examples(lineage: pl.DataFrame, answers: pl.DataFrame) -> list[dict[str, Any]]:
    """The first answered rows of every task that asks a model, in the order of their keys."""
    shown = lineage.filter(pl.col("text").is_not_null() & pl.col("answer_key").is_not_null()).sort("row")
    shown = shown.group_by("task", maintain_order=True).head(EXAMPLES)
    texts = answers.select("key", "messages", answer="text")
    return [
        {
            **{k: row[k] for k in ("task", "entity", "as_of", "answer", "prompt")},
            "messages": json.loads(row["messages"]),
        }
        for row in shown.join(texts, left_on="answer_key", right_on="key", maintain_order="left").iter_rows(named=True)
    ]
