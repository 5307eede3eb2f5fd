"""The train flow: every arm in its own process, several at a time, then the comparison."""

import os
from typing import Any

from prefect import flow, task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.futures import wait
from prefect.task_runners import ThreadPoolTaskRunner

from app.arm_runs import arms_of, run_arm
from app.clicks import check_clicks, judge_clicks
from app.comparison import begin_run, end_run
from app.config import load_config
from app.progress import progress
from app.train_runs import get_run
from evals.tables import Rows, arm_rows, gain_rows, gain_title
from flows.ends import named_ends
from flows.refresh import show_gates

SIDE_BY_SIDE: ThreadPoolTaskRunner[Any] = ThreadPoolTaskRunner(max_workers=max(1, os.cpu_count() or 1))


@flow(name="train", flow_run_name="train {config}", task_runner=SIDE_BY_SIDE)  # pyright: ignore[reportCallIssue, reportArgumentType]
@named_ends
def train(config: str, arms: list[str] | None = None, release: str | None = None, *, judged: bool = True) -> str:
    """Train arms on a release, several seeds each, and compare them.

    Args:
        config: Path of knowflow.yaml.
        arms: Arms, or techniques of the release as separate arms; by default a full comparison.
        release: Name of a release; by default the current one.
        judged: Fail if the gate over clicks is closed, after everything has been written.

    Returns:
        Name of the training run.

    Raises:
        ClicksFell: Clicks are predicted worse than with the last release, and `gates.warn` does not name `clicks`.
    """
    run, names = begin(config, arms, release)
    with arms_of(load_config(config), run):
        trained = [train_arm.submit(config, run, name) for name in names]
        wait(trained)
    for future in trained:
        future.result()  # a failed arm fails the run, after the others have ended
    metrics, gains, title = compare(config, run)
    create_table_artifact(key="arms", table=metrics, description=f"Arms of {run}, means over seeds")
    create_table_artifact(key="gains", table=gains, description=f"{run}: {title}")
    if judged:
        check_clicks(get_run(load_config(config).home_folder, run))
    return run


@task(task_run_name="begin", cache_policy=NO_CACHE, persist_result=False)
def begin(config: str, arms: list[str] | None, release: str | None) -> tuple[str, list[str]]:
    """Check arms and release, record the test rows; return the names of the run and of the arms to train."""
    run = begin_run(load_config(config), arms, release)
    # The last arms are the largest: start them first, so that none runs alone at the end.
    return run.name, list(reversed(run.read("run")["trained"]))


@task(task_run_name="train {arm}", cache_policy=NO_CACHE, persist_result=False)
def train_arm(config: str, run: str, arm: str) -> dict:
    """Train one arm with every seed; return its cost."""
    settings = load_config(config)
    return run_arm(settings, get_run(settings.home_folder, run), arm, progress())


@task(task_run_name="compare", cache_policy=NO_CACHE, persist_result=False)
def compare(config: str, run: str) -> tuple[Rows, Rows, str]:
    """Evaluate all arms; return the tables of metrics and of gains, and the rows behind the gains."""
    settings = load_config(config)
    made = get_run(settings.home_folder, run)
    result = end_run(made, progress())
    if (gate := judge_clicks(settings, made, progress())) is not None:
        show_gates([vars(gate)], run, key="clicks")
    return arm_rows(result), gain_rows(result), gain_title(result)
