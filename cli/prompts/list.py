"""knowflow prompts list: every version of every prompt, its status, and where it lies."""

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from app.config import Config, load_config
from app.prompt_files import pinned_versions, versions_of
from cli.output import DEFAULT_CONFIG, AsJson, ConfigPath, print_json, print_table, say
from prompts.listing import Version

TaskOfPrompt = Annotated[str | None, Parameter(help="Task of a prompt, such as kar_item; default: all.")]


def list_prompts(task: TaskOfPrompt = None, /, *, config: ConfigPath = DEFAULT_CONFIG, json: AsJson = False) -> int:
    """List the versions of every prompt: status, which one a refresh asks with, and where it lies.

    Example: knowflow prompts list kar_item --config examples/movielens/knowflow.yaml
    """
    settings = load_config(config)
    versions = versions_of(settings, task)
    if json:
        print_json({"prompts": [version_facts(one) for one in versions]})
        return 0
    print_table(
        "prompts; a refresh asks with those marked",
        ["prompt", "status", "asked with", "where", "file"],
        [
            [one.prompt.name, one.prompt.front.status, "yes" if one.runs else "", _where(one), near(one.prompt.path)]
            for one in versions
        ],
        text_columns=5,
    )
    for line in _pin_notes(settings, versions):
        say(line)
    return 0


def version_facts(one: Version) -> dict[str, Any]:
    """Return the facts of a version, ready for JSON."""
    front = one.prompt.front
    return {
        "task": front.task,
        "version": front.version,
        "status": front.status,
        "runs": one.runs,
        "origin": one.origin,
        "shadowed": one.shadowed,
        "shadows": one.shadows,
        "path": str(one.prompt.path),
        "digest": one.prompt.digest,
    }


def near(path: Path) -> str:
    """Return a path relative to the current folder if it lies in it."""
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def _where(one: Version) -> str:
    if one.shadowed:
        return f"{one.origin}, shadowed by your own"
    return f"own, shadows the {one.shadows} one" if one.shadows else one.origin


def _pin_notes(settings: Config, versions: list[Version]) -> list[str]:
    """Say which versions knowflow.yaml fixes, and of which a refresh refuses to ask."""
    status = {one.prompt.name: one.prompt.front.status for one in versions if not one.shadowed}
    tasks = {one.prompt.front.task for one in versions}
    notes: list[str] = []
    for task, by_technique in pinned_versions(settings).items():
        for technique, version in by_technique.items():
            if task not in tasks or version is None:
                continue
            is_now = status.get(f"{task}.v{version}", "missing")
            refused = "" if is_now == "live" else f", which is {is_now}: a refresh refuses it"
            notes.append(f"tasks.{technique}.prompt_version in knowflow.yaml fixes {task}.v{version}{refused}")
    return notes
