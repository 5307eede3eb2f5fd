"""knowflow prompts promote and retire: which version a refresh asks with, recorded with who, when and why."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from app.config import Config, load_config
from app.promoting import Done, Reason, next_plans
from app.promoting import promote as promote_version
from app.promoting import retire as retire_version
from base.faults import WrongUse
from cli.output import DEFAULT_CONFIG, AsJson, ConfigPath, print_json, print_line, print_table, say, say_next
from cli.prompts.list import near
from prompts.listing import read_version
from prompts.promotion import read_figures

Task = Annotated[str, Parameter(help="Task of a prompt, such as kar_item.")]
Version = Annotated[str, Parameter(help="The version, such as v2.")]
Why = Annotated[str, Parameter(help="Why, in a sentence; it stands in the history.")]
By = Annotated[str | None, Parameter(help="Who does it; default: git's user.name, else the login.", show_default=False)]
Figures = Annotated[
    Path | None, Parameter(help="File with figures that speak for it: the .json beside the page of a `prompts eval`.")
]
COLUMNS = ("technique", "rows", "cached", "new", "changed", "failed", "calls", "tokens in", "out, at most")


def promote(
    task: Task,
    /,
    *,
    version: Version,
    why: Why,
    figures: Figures = None,
    by: By = None,
    force: Annotated[bool, Parameter(negative="", help="Promote it although `prompts lint` finds faults.")] = False,
    config: ConfigPath = DEFAULT_CONFIG,
    json: AsJson = False,
) -> int:
    """Make a version the one that a refresh asks with, record it, and show what the next refresh would ask.

    Only statuses in front matter change. A shipped file is first copied into your own folder, where it shadows ours.
    Going back is a promotion of the version before, whose stored answers serve again.

    Example: knowflow prompts promote kar_item --version v2 --why "half the tokens" -c examples/movielens/knowflow.yaml
    """
    settings = load_config(config)
    read = read_figures(figures) if figures else None
    done = promote_version(settings, task, read_version(version, task), Reason(_said(why), by, read), force=force)
    return _print_done(settings, done, config, json=json)


def retire(
    task: Task,
    /,
    *,
    version: Version,
    why: Why,
    by: By = None,
    config: ConfigPath = DEFAULT_CONFIG,
    json: AsJson = False,
) -> int:
    """Stop asking with a version, and record it; its file stays, because stored answers refer to it.

    Example: knowflow prompts retire kar_item --version v2 --why "no better" --config examples/movielens/knowflow.yaml
    """
    settings = load_config(config)
    done = retire_version(settings, task, read_version(version, task), Reason(_said(why), by))
    return _print_done(settings, done, config, json=json)


def _said(why: str) -> str:
    if not why.strip():
        raise WrongUse('--why: is empty\n  say why in a sentence: --why "half the tokens, the probe no worse"')
    return why.strip()


def _print_done(settings: Config, done: Done, config: str, *, json: bool) -> int:
    act = done.act
    changed = [
        {"prompt": one.prompt.name, "from": one.prompt.front.status, "to": one.status, "path": str(one.path)}
        for one in done.changes
    ]
    try:
        plans, unplanned = [one.summary() for one in next_plans(settings, act.task)], None
    except WrongUse as fault:  # the act is done: what it leads to is said as far as it is known
        plans, unplanned = [], str(fault).splitlines()[0]
    if json:
        print_json({**asdict(act), "changed": changed, "plan": plans, "unplanned": unplanned})
        return 0
    if done.finished is not None:
        earlier = done.finished
        say(f"finished first, because it had been interrupted: {earlier.act} {earlier.task}.v{earlier.version}")
    for change in done.changes:
        copy = ", a copy that shadows the other file" if change.copies else ""
        print_line(
            f"{change.prompt.name}: {change.prompt.front.status} -> {change.status} in {near(change.path)}{copy}"
        )
    before, after = (f"{act.task}.v{one}" if one else "no version" for one in (act.from_version, act.to_version))
    say(f"the newest live version was {before}, and is {after}; recorded as {act.who}'s")
    if unplanned is not None:
        say(f"what the next refresh asks cannot be planned: {unplanned}")
        return 0
    if not plans:
        say("no technique that knowflow.yaml runs asks with it")
        return 0
    names = ("task", "rows", "cached", "new", "changed", "failed", "calls", "input_tokens", "output_tokens_at_most")
    print_table("next refresh", COLUMNS, [[plan[name] for name in names] for plan in plans])
    say_next("refresh", config, [plan["task"] for plan in plans])
    return 0
