"""knowflow train: train arms on a release and compare them."""

from typing import Annotated, Any

from cyclopts import Parameter

from cli.output import AsJson, ConfigPath, bars, print_json, print_table, say
from feature_store.releases import get_release
from flows.config import load_config
from flows.samples import arms_in
from flows.tables import Rows, arm_rows, gain_rows
from flows.train import train as train_flow
from flows.train_runs import get_run
from flows.workplace import open_store

Arms = Annotated[
    str | None,
    Parameter(help="Arms, separated by commas; a technique's name is an arm too. A full comparison if left out."),
]


def train(
    *,
    config: ConfigPath = "knowflow.yaml",
    arms: Arms = None,
    release: Annotated[str | None, Parameter(help="Name of a release; the current one if left out.")] = None,
    json: AsJson = False,
) -> int:
    """Train arms on a release, several seeds each, and compare them with confidence intervals.

    Example: knowflow train --config examples/movielens/knowflow.yaml --arms base,facts,knowledge
    """
    settings = load_config(config)
    names = split_arms(arms)
    arms_in(get_release(open_store(settings), release), names)  # wrong names are told before any flow starts
    with bars():
        run = train_flow(config=str(settings.path), arms=names, release=release)
    result = get_run(settings.home_folder, run).read("result")
    if json:
        print_json({"train_run": run, **result})
        return 0
    print_arms(result)
    say(f"training run {run}\nnext: knowflow report --config {config}")
    return 0


def split_arms(arms: str | None) -> list[str] | None:
    """Read `base,facts` as a list; None stays None."""
    return [name.strip() for name in arms.split(",") if name.strip()] if arms else None


def print_arms(result: dict[str, Any]) -> None:
    """Print the table of arms and the conclusion."""
    print_rows("arms on all test rows: mean over seeds", arm_rows(result))
    for segment, name in (("all", "all test rows"), ("cold_with_knowledge", "cold test rows with knowledge")):
        print_rows(f"AUC gains on {name}, 95% intervals", gain_rows(result, segment))
    say(result["conclusion"])


def print_rows(title: str, rows: Rows) -> None:
    """Print rows as a table."""
    print_table(f"\n{title}", list(rows[0]), [list(row.values()) for row in rows])
