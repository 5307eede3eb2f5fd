"""knowflow release: lists and shows releases, and rolls back to an older one."""

from datetime import UTC, datetime
from typing import Annotated

from cyclopts import App, Parameter

from app.config import load_config
from app.input_lock import drop_left_inputs
from app.train_runs import drop_unfinished, releases_in_use, unfinished_runs
from app.workplace import open_store
from cli.output import DEFAULT_CONFIG, AsJson, ConfigPath, print_json, print_line, print_table, say
from cli.release_diff import diff
from feature_store.database import command_line
from feature_store.releases import Release, all_releases, get_release, list_releases, roll_back
from feature_store.releases import unpin as unpin_release
from feature_store.retention import collect, to_drop

app = App(name="release", help="Look at releases, or make an older one current again.", help_format="plaintext")
app.command(diff)
NAME = Parameter(help="Name of a release, such as rel-000003; default: the current one.")
Name = Annotated[str, Parameter(help="Name of a release, such as rel-000003.")]


def _facts(release: Release) -> dict:
    return {**vars(release), "versions": dict(release.versions), "facts": dict(release.facts)}


@app.command(name="list")
def list_all(*, config: ConfigPath = DEFAULT_CONFIG, json: AsJson = False) -> int:
    """List all releases, oldest first; the last one is current.

    Example: knowflow release list
    """
    everything = all_releases(open_store(load_config(config)))
    releases = [release for release in everything if release.damaged is None]
    if json:
        print_json({"releases": [_facts(release) for release in releases]})
        return 0
    print_table(
        "releases, the last one is current",
        ["name", "made at (UTC)", "rolled back to", "pinned", "tasks"],
        [
            [
                r.name,
                f"{r.created_at:%Y-%m-%d %H:%M:%S}",
                r.rolled_back_to or "",
                "yes" if r.pinned and r is releases[-1] else "",
                ", ".join(r.facts.get("tasks", [])),
            ]
            for r in releases
        ],
        text_columns=5,
    )
    for release in everything:
        if release.damaged is not None:
            say(f"{release.name} is damaged, and not served: {release.damaged}")
    if not releases:
        say(f"{'no release is left' if everything else 'nothing has been released yet'}; make one: knowflow refresh")
    return 0


@app.command
def show(name: Annotated[str | None, NAME] = None, *, config: ConfigPath = DEFAULT_CONFIG, json: AsJson = False) -> int:
    """Show what a release was made from: data, tasks, encoders, gates, table versions.

    Example: knowflow release show rel-000003
    """
    release = get_release(open_store(load_config(config)), name)
    if json:
        print_json(_facts(release))
        return 0
    print_line(
        f"{release.name}, made {release.created_at:%Y-%m-%d %H:%M:%S} UTC"
        + (f", points to the tables of {release.rolled_back_to}" if release.rolled_back_to else "")
        + (", pinned" if release.pinned else "")
    )
    print_line(f"data {release.facts.get('data_version', '')[:12]}   model {release.facts.get('model', '')}")
    print_table("table versions", ["table", "version"], [[k, v] for k, v in release.versions.items()])
    print_table(
        "gates",
        ["gate", "holds", "found"],
        [[g["name"], "yes" if g["holds"] else "no, it only warns", g["found"]] for g in release.facts.get("gates", [])],
        text_columns=3,
    )
    return 0


@app.command
def rollback(name: Name, *, config: ConfigPath = DEFAULT_CONFIG, json: AsJson = False) -> int:
    """Make an older release current again, and pin it; nothing is deleted.

    Refreshes go on filling the tables, and publish nothing until `knowflow release unpin`.

    Example: knowflow release rollback rel-000003
    """
    store = open_store(load_config(config))
    get_release(store, name)
    with store.writer(command_line()) as writer:
        release = roll_back(writer, name)
    if json:
        print_json(_facts(release))
    else:
        say(f"{release.name} is current now, pinned, and points to the tables of {release.rolled_back_to}")
        say(f"to let refresh publish again: knowflow release unpin {release.name}")
    return 0


@app.command
def gc(
    *,
    config: ConfigPath = DEFAULT_CONFIG,
    dry_run: Annotated[bool, Parameter(negative="", help="Only name the releases that would go.")] = False,
    json: AsJson = False,
) -> int:
    """Drop releases that are older than `keep:` in knowflow.yaml allows, and give their disk space back.

    The current release, the one it points to, and that of the newest training run always stay. Folders of training runs
    that were killed over a week ago go, too, and of all killed ones the copy of the data that their arms read.

    Example: knowflow release gc --dry-run
    """
    settings = load_config(config)
    store, now, in_use = open_store(settings), datetime.now(UTC), releases_in_use(settings.home_folder)
    if dry_run:
        going = [release.name for release in to_drop(list_releases(store), settings.keep, now, in_use)]
        killed = [run.name for run in unfinished_runs(settings.home_folder, now)]
        if json:
            print_json({"would_drop": going, "would_delete": killed})
        else:
            say(f"would drop {', '.join(going) or 'no release'}{_unfinished('would delete', killed)}")
        return 0
    with store.writer(command_line()) as writer:
        done = collect(writer, settings.keep, now, in_use)
    killed = drop_unfinished(settings.home_folder, now)
    drop_left_inputs(settings.home_folder)
    if json:
        print_json(vars(done) | {"deleted": killed})
        return 0
    dropped = f"dropped {', '.join(done.dropped) or 'no release'}; {len(done.kept):,} are left"
    say(dropped + _unfinished("deleted", killed))
    sizes = f"{done.bytes_before / 1e6:,.1f} MB in {done.files_before:,} files"
    say(f"{sizes} became {done.bytes_after / 1e6:,.1f} MB in {done.files_after:,} files")
    return 0


def _unfinished(what: str, runs: list[str]) -> str:
    return f"; {what} what is left of unfinished training runs: {', '.join(runs)}" if runs else ""


@app.command
def pin(name: Name, *, config: ConfigPath = DEFAULT_CONFIG, json: AsJson = False) -> int:
    """Keep a release current until it is unpinned, whatever refreshes add to the tables; the same as a rollback to it.

    Example: knowflow release pin rel-000003
    """
    return rollback(name, config=config, json=json)


@app.command
def unpin(name: Name, *, config: ConfigPath = DEFAULT_CONFIG, json: AsJson = False) -> int:
    """Let the next refresh publish again.

    Example: knowflow release unpin rel-000004
    """
    with open_store(load_config(config)).writer(command_line()) as writer:
        release = unpin_release(writer, name)
    if json:
        print_json(_facts(release))
    else:
        say(f"{release.name} is no longer pinned: the next refresh publishes what the tables hold then")
    return 0
