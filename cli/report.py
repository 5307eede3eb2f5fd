"""knowflow report: writes report.html and report.json."""

from typing import Annotated

from cyclopts import Parameter

from app.config import load_config
from app.train_runs import get_run
from cli.output import DEFAULT_CONFIG, AsJson, ConfigPath, print_json, print_line
from flows.server import prefect_server


def report(
    *,
    config: ConfigPath = DEFAULT_CONFIG,
    train_run: Annotated[str | None, Parameter(help="Name of a training run; default: the newest.")] = None,
    json: AsJson = False,
) -> int:
    """Write the report of a training run into the home folder: report.html, and report.json for scripts.

    Example: knowflow report --config examples/movielens/knowflow.yaml
    """
    settings = load_config(config)
    run = get_run(settings.home_folder, train_run)
    conclusion = run.read("result")["conclusion"]
    from flows.report import report as report_flow  # noqa: PLC0415 - takes seconds; wrong input is reported first

    with prefect_server(settings.home_folder):
        path = report_flow(config=str(settings.path), train_run=run.name)
    if json:
        print_json({"report": path, "train_run": run.name, "conclusion": conclusion})
        return 0
    print_line(f"{conclusion}\nreport  {path}")
    return 0
