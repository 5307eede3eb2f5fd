"""knowflow status: shows what is in the store, what is current, and where the newest report is."""

from datetime import datetime

from app.home import open_store, read_home
from app.train_runs import list_runs, models_folder
from cli.output import DEFAULT_CONFIG, AsJson, ConfigPath, print_json, print_line, print_table
from feature_store.lineage import EPOCH, count_rows
from feature_store.release_list import list_releases

PINNED = ", pinned: refresh publishes nothing until knowflow release unpin {}"


def status(*, config: ConfigPath = DEFAULT_CONFIG, json: AsJson = False) -> int:
    """Show the current release, the rows of knowledge by task, and the newest training run.

    Example: knowflow status --json
    """
    settings = read_home(config)  # all other settings would take as long as all else that this does
    store = open_store(settings)
    releases, runs = list_releases(store), list_runs(settings.home_folder)
    rows = count_rows(store)
    models = models_folder(settings.home_folder, runs[-1].name) if runs else None
    report = settings.home_folder / "report.html"
    found = {
        "store": str(store),
        "release": releases[-1].name if releases else None,
        "pinned": bool(releases) and releases[-1].pinned,
        "releases": len(releases),
        "tasks": rows,
        "train_run": runs[-1].name if runs else None,
        "models": str(models) if models and models.is_dir() else None,
        "report": str(report) if report.is_file() else None,
    }
    if json:
        print_json(found)
        return 0
    print_line(f"store            {found['store']}")
    pinned = PINNED.format(found["release"]) if found["pinned"] else ""
    print_line(f"current release  {found['release'] or 'none; make one: knowflow refresh'}{pinned}")
    print_line(f"newest training  {found['train_run'] or 'none; make one: knowflow train'}")
    print_line(f"kept models      {found['models'] or 'none; make some: knowflow train'}")
    print_line(f"report           {found['report'] or 'none; make one: knowflow report'}")
    if rows:
        print_table(
            "knowledge by task",
            ["task", "newest as_of", "rows", "entities", "without text"],
            [[r["task"], _moment(r["newest_as_of"]), r["rows"], r["entities"], r["without_text"]] for r in rows],
            text_columns=2,
        )
    return 0


def _moment(as_of: datetime) -> str:
    return "any time" if as_of == EPOCH else f"{as_of:%Y-%m-%d}"
