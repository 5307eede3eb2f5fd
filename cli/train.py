"""knowflow train: trains arms on a release and compares them."""

from typing import Annotated, Any

from cyclopts import Parameter

from app.clicks import check_clicks
from app.config import load_config
from app.samples import arms_in
from app.train_runs import models_folder
from app.workplace import open_store, split_counts
from cli.output import DEFAULT_CONFIG, AsJson, ConfigPath, bars, print_json, print_line, print_table, say, say_next
from cli.split import print_split, say_notes, split_notes
from ctr.controls import lacking
from evals.tables import Rows, tables
from feature_store.releases import get_release
from flows.here import train_here

Arms = Annotated[
    str | None,
    Parameter(
        help="Arms, separated by commas; a technique's name is an arm too. Default: train.arms of knowflow.yaml."
    ),
]


def train(
    *,
    config: ConfigPath = DEFAULT_CONFIG,
    arms: Arms = None,
    release: Annotated[str | None, Parameter(help="Name of a release; default: the current one.")] = None,
    json: AsJson = False,
) -> int:
    """Train arms on a release, several seeds each, and compare them with confidence intervals.

    The main arm is compared with that of the last release, on the same test rows, too. If `gates.warn` does not name
    `clicks`, a fall beyond chance ends with exit code 1 and names the release to roll back to.

    Example: knowflow train --config examples/movielens/knowflow.yaml --arms base,facts,knowledge
    """
    settings = load_config(config)
    names, chosen = split_arms(arms), get_release(open_store(settings), release)
    wanted = names if names is not None else settings.train.arms
    arms_in(settings, chosen, wanted)
    parts = split_counts(settings)
    notes = split_notes(parts, settings.source)
    if wanted is None:
        notes += lacking(set(map(str, chosen.vectors)), settings.plugin_folders)
    if not json:
        say_notes(notes)
    with bars():
        run = train_here(settings, names, release)
    result = run.read("result")
    if json:
        print_json({"train_run": run.name, **result, "split_counts": [one.to_dict() for one in parts], "notes": notes})
        check_clicks(run)
        return 0
    print_split(parts)
    print_arms(result)
    print_line(f"training run {run.name}\nmodels       {models_folder(settings.home_folder, run.name)}")
    for gate in result.get("gates", ()):
        say(f"{'gate' if gate['holds'] else 'warning'}: {gate['name']}: {gate['found']}")
    check_clicks(run)
    say_next("report", config)
    return 0


def split_arms(arms: str | None) -> list[str] | None:
    """Split `base,facts` into a list; None stays None."""
    return None if arms is None else [name.strip() for name in arms.split(",") if name.strip()] or [arms]


def print_arms(result: dict[str, Any]) -> None:
    """Print the tables of every protocol, the conclusion, and how often test rows were looked at."""
    for title, rows in tables(result):
        print_rows(title, rows)
    print_line(f"\n{result['conclusion']}")
    if (looks := result.get("looks")) is not None:
        print_line(f"test rows were looked at {looks:,} time{'' if looks == 1 else 's'}")


def print_rows(title: str, rows: Rows) -> None:
    """Print rows as a table, and nothing when there are none."""
    if rows:
        print_table(f"\n{title}", list(rows[0]), [list(row.values()) for row in rows])
