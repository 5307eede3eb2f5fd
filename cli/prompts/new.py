"""knowflow prompts new: begins a new version of a prompt, or a domain, in the team's own folder."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from app.config import load_config
from app.prompt_files import begin_from
from base.faults import WrongUse
from cli.output import DEFAULT_CONFIG, AsJson, ConfigPath, print_json, print_line, say, say_next
from cli.prompts.list import near
from prompts.edits import begin_domain
from prompts.listing import read_version

FromVersion = Annotated[
    str | None, Parameter(help="Version to copy, such as v2; default: the one that a refresh asks with.")
]


def new(
    task: Annotated[str | None, Parameter(help="Task of a prompt, such as kar_item.")] = None,
    /,
    *,
    from_version: FromVersion = None,
    domain: Annotated[str | None, Parameter(help="Copy this domain instead of a prompt, such as films.")] = None,
    config: ConfigPath = DEFAULT_CONFIG,
    json: AsJson = False,
) -> int:
    """Begin a new version of a prompt in your own folder, with status draft; or a copy of a domain that you may change.

    The folder is `prompts` beside knowflow.yaml, or where its `prompts:` says; it is made if it is missing.

    Example: knowflow prompts new kar_item --config examples/movielens/knowflow.yaml
    """
    settings = load_config(config)
    if (task is None) == (domain is None):
        raise WrongUse("name a task, such as kar_item, or a domain: --domain films\n  see: knowflow prompts new --help")
    if domain is not None:
        path = begin_domain(domain, settings.library, settings.own_prompts)
        return _print_domain(path, domain, used=settings.domain == domain, json=json)
    version = None if from_version is None else read_version(from_version, str(task))
    begun = begin_from(settings, str(task), version)
    if json:
        print_json({"prompt": begun.name, "from": begun.source.name, "path": str(begun.path)})
        return 0
    print_line(f"{begun.name}, a draft, from {begun.source.name}: {near(begun.path)}")
    say("edit it; stored answers of other versions stay as they are, and a refresh asks with it after its promotion")
    say_next(f"prompts lint {begun.name}", config)
    return 0


def _print_domain(path: Path, domain: str, *, used: bool, json: bool) -> int:
    if json:
        print_json({"domain": domain, "path": str(path)})
        return 0
    print_line(f"domain {domain}, which shadows the other one of this name: {near(path)}")
    if used:
        say("edit it; a prompt that shows other words is asked again: see knowflow plan")
    else:
        say(f"edit it, and name it in knowflow.yaml: domain: {domain}")
    return 0
