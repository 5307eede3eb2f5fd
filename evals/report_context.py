"""What a report shows besides the figures: release, coverage, tokens and money, examples, caveats."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import polars as pl

from evals.evaluate import Scores
from evals.reliability import before_calibration, calibration_curves
from evals.report import InContext, ReportContext
from evals.report_caveats import caveats_of
from feature_store.releases import Release
from llm_tasks.pipeline.task import Task

EXAMPLES = 2
"""Number of answers to show per task."""


def report_context(
    noted: Mapping[str, Any],
    training: Mapping[str, Mapping[str, Any]],
    scores: Scores,
    uncalibrated: Scores | None,
    release: Release,
    lineage: pl.DataFrame,
    answers: pl.DataFrame,
    costs: Sequence[Mapping[str, Any]],
    techniques: Mapping[str, Task],
    in_context: InContext | None,
    token_counter: str,
    config_name: str,
) -> ReportContext:
    """Collect what the page shows of a training run and the release that it read.

    Args:
        noted: What the run recorded at its start.
        training: Arm -> facts about its training.
        scores: The predictions of its test rows.
        uncalibrated: Those of calibrated arms before calibration; None if there are none.
        release: The release.
        lineage: Its rows.
        answers: The answers of these rows.
        costs: Their cost by task, from `evals.report_costs.costs_of`.
        techniques: All techniques by name.
        in_context: The examples that arms show; None if no arm shows any.
        token_counter: How tokens were counted, as a continuation of `Tokens were`.
        config_name: Name of the config file, for the commands that make the page again.
    """
    return ReportContext(
        title="What the model's knowledge is worth",
        made_at=datetime.now(UTC),
        command=f"knowflow train --config {config_name} --release {release.name}\n"
        f"knowflow report --config {config_name}",
        data=noted["data"],
        arms={arm: f"{about}{_reads(noted['uses'][arm])}" for arm, about in noted["arms"].items()},
        calibration=calibration_curves(scores),
        coverage=_coverage(lineage, noted["coverage"]),
        costs=costs,
        token_counter=token_counter,
        examples=_examples(lineage, answers),
        release={
            "name": release.name,
            "created_at": release.created_at,
            "versions": release.versions,
            "facts": release.facts,
        },
        caveats=caveats_of(noted, release, techniques),
        seeds=len(noted["train"]["seeds"]),
        seconds=sum(trained["cpu_seconds"] for trained in training.values()),
        in_context=in_context,
        uncalibrated=before_calibration(uncalibrated),
    )


def _reads(uses: list) -> str:
    reads = "; ".join(f"{adapter.replace('_', ' ')} of {', '.join(vectors)}" for adapter, vectors in uses)
    return f" Reads: {reads}." if reads else ""


def _coverage(lineage: pl.DataFrame, shares: Mapping[str, Mapping[str, float | None]]) -> list[dict[str, Any]]:
    rows = lineage.group_by("task").agg(
        pl.col("entity_type").first().alias("entity"),
        pl.len().alias("rows"),
        pl.col("entity").n_unique().alias("entities"),
    )
    # Rows about events are found by similarity, not by a sample's user or item, so they cover no sample.
    none: Mapping[str, float | None] = dict.fromkeys(("all", "test", "cold"))
    return [
        {**row, **shares.get(row["task"], none)}
        for row in rows.sort("task").to_dicts()
        if row["task"] in shares or row["entity"] == "event"
    ]


def _examples(lineage: pl.DataFrame, answers: pl.DataFrame) -> list[dict[str, Any]]:
    """Return the first answered rows of every task that asks a model, in key order."""
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
