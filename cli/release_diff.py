"""knowflow release diff: shows what differs between two releases, and what training runs on them have found."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from app.config import load_config
from app.train_runs import list_runs
from app.workplace import open_store
from cli.output import DEFAULT_CONFIG, AsJson, ConfigPath, print_json, print_line, print_table, printable, say
from feature_store.release_diff import TaskDiff, changed_vectors, compare_rows
from feature_store.releases import get_release

METRICS = ("auc", "logloss")


def diff(
    old: Annotated[str, Parameter(help="Name of a release, such as rel-000003.")],
    new: Annotated[str | None, Parameter(help="Name of another one; default: the current release.")] = None,
    *,
    examples: Annotated[int, Parameter(help="Changed texts to show for each technique.")] = 1,
    config: ConfigPath = DEFAULT_CONFIG,
    json: AsJson = False,
) -> int:
    """Show what differs between two releases: rows, texts, prompts, models, vectors, and the metrics of training runs.

    Example: knowflow release diff rel-000003 rel-000004
    """
    settings = load_config(config)
    store = open_store(settings)
    first, second = get_release(store, old), get_release(store, new)
    tasks, vectors = compare_rows(store, first, second, examples), changed_vectors(first, second)
    runs = [_newest_run(settings.home_folder, release.name) for release in (first, second)]
    if json:
        rows = [asdict(one) for one in tasks]
        print_json({"old": first.name, "new": second.name, "tasks": rows, "vectors": vectors, "metrics": runs})
        return 0
    _print_rows(f"{first.name} and {second.name}", tasks)
    for name, what in vectors.items():
        say(f"vectors {name}: {what}")
    _print_metrics(runs)
    return 0


def _print_rows(title: str, tasks: list[TaskDiff]) -> None:
    columns = ["task", "rows", "added", "gone", "changed", "with text", "failed"]
    rows = [
        [one.task, _pair(one.rows), one.added, one.gone, one.changed, _pair(one.texts), _pair(one.failed)]
        for one in tasks
    ]
    print_table(title, columns, rows)
    for one in tasks:
        for what, (before, after) in {"prompt": one.prompts, "model": one.models}.items():
            if before != after:
                say(f"{one.task}: {what} {', '.join(before) or 'none'} -> {', '.join(after) or 'none'}")
        for text in one.examples:
            print_line(f"{printable(text.row)}\n  - {printable(text.old)}\n  + {printable(text.new)}")


def _pair(numbers: tuple[int, int]) -> str:
    before, after = numbers
    return f"{after:,}" if before == after else f"{before:,} -> {after:,}"


def _newest_run(home: Path, release: str) -> dict[str, Any]:
    """Return the newest training run on a release, or None for its name, with the metrics of every arm."""
    for run in reversed(list_runs(home)):
        result = run.read("result")
        if result["release"] == release:
            arms = {arm: {name: of["all"][name]["mean"] for name in METRICS} for arm, of in result["arms"].items()}
            return {"release": release, "run": run.name, "arms": arms}
    return {"release": release, "run": None, "arms": {}}


def _print_metrics(runs: list[dict[str, Any]]) -> None:
    lacking = [one["release"] for one in runs if one["run"] is None]
    if lacking:
        what = f"no training run on {' and '.join(lacking)}, so no metrics are compared"
        say(f"{what}; train: knowflow train --release {lacking[0]}")
        return
    first, second = runs
    rows = [
        [arm, *(_shown(one["arms"][arm][name]) for name in METRICS for one in runs)]
        for arm in first["arms"]
        if arm in second["arms"]
    ]
    columns = ["arm", *(f"{name} {one['release']}" for name in METRICS for one in runs)]
    print_table(f"test rows: {first['run']} and {second['run']}", columns, rows)
    say("two trainings differ by chance, too; whether a gain is one: compare arms in one report")


def _shown(value: float | None) -> str:
    return "none" if value is None else f"{value:.4f}"  # of rows of one label alone there is none
