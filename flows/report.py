"""The report flow: report.html for people and report.json for scripts, of one training run."""

from prefect import flow, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE

from app.config import load_config
from app.report import report_summary, write_report


@flow(name="report", flow_run_name="report {config}")
def report(config: str, train_run: str | None = None) -> str:
    """Write the report of a training run.

    Args:
        config: Path of knowflow.yaml.
        train_run: Name of a training run; by default the newest finished one.

    Returns:
        Path of report.html.
    """
    path = write(config, train_run)
    create_markdown_artifact(key="report", markdown=report_summary(load_config(config)), description=f"Report: {path}")
    return path


@task(task_run_name="write report", cache_policy=NO_CACHE, persist_result=False)
def write(config: str, train_run: str | None) -> str:
    """Write report.html and report.json into the home folder; return the path of the first."""
    return str(write_report(load_config(config), train_run))
