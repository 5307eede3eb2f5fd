"""knowflow prompts diff: what differs between two versions, line by line and in effect."""

from dataclasses import asdict
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console

from app.config import load_config
from app.prompt_files import prompt_named, two_versions
from cli.output import DEFAULT_CONFIG, AsJson, ConfigPath, print_json, printable, say
from prompts.comparison import Difference, compare

STYLES = {"+": "green", "-": "red", "@": "cyan"}
OTHER = "Another one; default: the file that the first one shadows, else the version that a refresh asks with."


def diff(
    name: Annotated[str, Parameter(help="Name of a prompt, such as kar_item.v1.")],
    other: Annotated[str | None, Parameter(help=OTHER)] = None,
    /,
    *,
    config: ConfigPath = DEFAULT_CONFIG,
    json: AsJson = False,
) -> int:
    """Show what differs between two versions of a prompt, and whether stored answers serve both.

    With one name, the change is from what it replaces to it.

    Example: knowflow prompts diff kar_item.v1 kar_item.v2 --config examples/movielens/knowflow.yaml
    """
    settings = load_config(config)
    if other is None:
        old, new, names = two_versions(settings, name)
    else:
        old, new = prompt_named(settings, name), prompt_named(settings, other)
        names = (old.name, new.name)
    found = compare(old, new, names)
    if json:
        print_json({"old": names[0], "new": names[1], **asdict(found)})
        return 0
    console = Console(highlight=False, markup=False, soft_wrap=True)
    for line in found.lines:
        console.print(printable(line), style=STYLES.get(line[:1]))
    for line in _effects(found):
        say(line)
    return 0


def _effects(found: Difference) -> list[str]:
    lines = ["the text differs"] if found.text else []
    lines += ["the form of the answer differs"] if found.schema else []
    lines += [f"{name}: {_said(old)} -> {_said(new)}" for name, (old, new) in found.sampling.items()]
    before, after = found.status
    lines += [f"status: {before} -> {after}"] if before != after else []
    if found.same_answers:
        return [*lines, "texts, form and sampling are the same: the same stored answers serve both"]
    return [*lines, "no stored answer of one serves the other: each asks all of its rows"]


def _said(value: object) -> str:
    return "not set" if value is None else str(value)
