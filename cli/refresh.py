"""knowflow refresh: ask what is new, encode it, publish a release."""

from typing import Annotated

from cyclopts import Parameter

from cli.output import DEFAULT_CONFIG, AsJson, ConfigPath, TaskNames, bars, print_json, print_table, say, say_next
from feature_store.releases import get_release, list_releases
from flows.config import load_config
from flows.server import prefect_server
from flows.workplace import chosen_tasks, open_store, open_workplace


def refresh(
    *,
    config: ConfigPath = DEFAULT_CONFIG,
    task: TaskNames = None,
    retry_failed: Annotated[
        bool, Parameter(negative="", show_default=False, help="Ask again for rows whose error is on record.")
    ] = False,
    json: AsJson = False,
) -> int:
    """Ask what is new, encode it and publish a release when all gates hold.

    Killed at any moment, it goes on where it stopped: run the same command again.

    Example: knowflow refresh --config examples/movielens/knowflow.yaml --task kar_user
    """
    settings = load_config(config)
    chosen_tasks(settings, task)
    open_workplace(settings)  # wrong input is told before any flow or store is touched
    releases = list_releases(open_store(settings))
    from flows.refresh import refresh as refresh_flow  # noqa: PLC0415 - takes seconds; wrong input is told before

    with prefect_server(), bars():
        name = refresh_flow(config=str(settings.path), tasks=task, retry_failed=retry_failed)
    release = get_release(open_store(settings), name)
    fresh = not releases or releases[-1].name != name
    if json:
        print_json({"release": name, "new": fresh, "tasks": release.facts["asked"] if fresh else []})
        return 0
    if not fresh:
        say(f"nothing is new, 0 asked, 0 encoded: {name} stays the current release")
        return 0
    print_table(
        f"released {name}",
        ["task", "rows", "cached", "calls", "answered", "without text", "tokens in", "tokens out"],
        [
            [
                a["task"],
                a["rows"],
                a["cached"],
                a["calls"],
                a["answered"],
                sum(a["errors"].values()),
                a["input_tokens"],
                a["output_tokens"],
            ]
            for a in release.facts["asked"]
        ],
    )
    for asked in release.facts["asked"]:
        for kind, count in asked["errors"].items():
            say(f"  {asked['task']}: {count:,} rows without text: {kind}")
    say_next("train", config)
    return 0
