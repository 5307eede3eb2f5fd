"""Writes the report of a training run from the run, its release and the data."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from app.comparison import read_scores, read_uncalibrated
from app.config import Config
from app.report_examples import in_context
from app.train_runs import TrainRun, get_run
from app.workplace import open_domain, open_store
from engines.choose import build_engine
from evals.report import ReportContext, render_report
from evals.report_context import report_context
from evals.report_costs import costs_of
from feature_store.releases import Release, get_release, released_answers, released_lineage
from llm_tasks.pipeline.catalogue import find_tasks
from llm_tasks.pipeline.task import SampledOptions


def write_report(config: Config, train_run: str | None) -> Path:
    """Write report.html and report.json into the home folder.

    Args:
        config: The config.
        train_run: Name of a training run; None for the newest finished one.

    Returns:
        Path of report.html.

    Raises:
        WrongUse: There is no such run.
        NoRelease: The release that the run read is gone.
    """
    run = get_run(config.home_folder, train_run)
    result = run.read("result")
    page = render_report(result, open_context(config, run, result))
    path = config.home_folder / "report.html"
    path.write_text(page, encoding="utf-8")
    numbers = json.dumps({**result, "train_run": run.name}, indent=1, allow_nan=False)
    path.with_suffix(".json").write_text(numbers, encoding="utf-8")
    return path


def report_summary(config: Config) -> str:
    """Return the newest report in short, as Markdown: the link to it, and what it concludes."""
    page = config.home_folder / "report.html"
    link = f"{config.reports_at.rstrip('/')}/{page.name}" if config.reports_at else page.as_uri()
    result = json.loads(page.with_suffix(".json").read_text(encoding="utf-8"))
    paragraphs = [f"[{page.name}]({link}) of {result['train_run']}", *result["conclusion"].splitlines()]
    return "\n\n".join(paragraphs)


def open_context(config: Config, run: TrainRun, result: Mapping[str, Any]) -> ReportContext:
    """Collect what a report shows besides the figures of a run.

    Raises:
        NoRelease: The release that the run read is gone.
    """
    store, noted = open_store(config), run.read("run")
    release = get_release(store, noted["release"])
    lineage = released_lineage(store, release)
    answers = released_answers(store, release, lineage["answer_key"].drop_nulls().to_list())
    costs = open_costs(config, release, lineage, answers)
    engine = build_engine(config.engine, open_domain(config), config.folder, folders=config.plugin_folders)
    return report_context(
        noted,
        result["training"],
        read_scores(run),
        read_uncalibrated(run),
        release,
        lineage,
        answers,
        costs,
        find_tasks(config.plugin_folders),
        in_context(config, lineage, result, costs),
        engine.token_counter,
        config.path.name,
    )


def open_costs(config: Config, release: Release, lineage: pl.DataFrame, answers: pl.DataFrame) -> list[dict[str, Any]]:
    """Return the cost of a release's rows, by the prices and samplings in knowflow.yaml: one row per task."""
    sampled = {name: of.candidates for name, of in config.tasks.items() if isinstance(of, SampledOptions)}
    return costs_of(open_store(config), release, lineage, answers, config.prices, sampled, config.library)
