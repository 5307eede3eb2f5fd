"""The prompts of a config: every version, which one a refresh asks with, and what knowflow.yaml fixes."""

from dataclasses import dataclass
from pathlib import Path

from app.config import Config
from base.faults import WrongUse
from llm_tasks.pipeline.catalogue import find_tasks
from prompts.edits import begin_version, free_version
from prompts.library import choose_prompt
from prompts.listing import Version, list_versions, named_prompt
from prompts.prompt import Prompt


def pinned_versions(config: Config) -> dict[str, dict[str, int | None]]:
    """Return which version each technique fixes by `prompt_version`: task of the prompt -> technique -> version."""
    found: dict[str, dict[str, int | None]] = {}
    for name, task in find_tasks(config.plugin_folders).items():
        if task.prompt:
            options = config.tasks.get(name)
            found.setdefault(task.prompt, {})[name] = options.prompt_version if options else None
    return found


def versions_of(config: Config, task: str | None = None) -> list[Version]:
    """List the versions of one prompt or of all.

    Raises:
        WrongUse: A file is not a prompt, or there is no prompt of the task.
    """
    return list_versions(config.library, _pins(config), task)


def prompt_named(config: Config, name: str) -> Prompt:
    """Return the prompt of a name: `kar_item.v2`, or `kar_item` for the version that a refresh asks with.

    Raises:
        WrongUse: There is no such prompt.
    """
    return named_prompt(name, config.library, _pins(config))


def two_versions(config: Config, name: str) -> tuple[Prompt, Prompt, tuple[str, str]]:
    """Return what a version replaces, the version, and both names: the file it shadows, else what a refresh asks with.

    Raises:
        WrongUse: There is no such prompt, or it replaces none.
    """
    prompt = prompt_named(config, name)
    versions = versions_of(config, prompt.front.task)
    shadowed = [one for one in versions if one.shadowed and one.prompt.name == prompt.name]
    if shadowed:
        (one,) = shadowed
        return one.prompt, prompt, (f"{one.prompt.name} ({one.origin})", f"{prompt.name} (own)")
    running = [one.prompt for one in versions if one.runs and one.prompt.name != prompt.name]
    if not running:
        raise WrongUse(
            f"{prompt.name} shadows no file, and a refresh asks with no other version\n  name another version"
        )
    return running[-1], prompt, (running[-1].name, prompt.name)


@dataclass(frozen=True)
class Begun:
    """A new version in the team's own folder."""

    name: str
    """Its name, such as `kar_item.v3`."""
    path: Path
    """Its file."""
    source: Prompt
    """The version that it was copied from."""


def begin_from(config: Config, task: str, version: int | None = None) -> Begun:
    """Copy a version of a prompt into the team's own folder as the next free version, with status draft.

    Args:
        config: The config.
        task: Task of the prompt.
        version: The version to copy; None = the one that a refresh asks with.

    Raises:
        WrongUse: There is no such version.
    """
    versions = versions_of(config, task)
    running = [one.prompt for one in versions if one.runs]
    if version is None and not running:
        there = ", ".join(one.prompt.name for one in versions if not one.shadowed)
        raise WrongUse(f"a refresh asks with no version of {task}\n  give --from-version; there are {there}")
    source = running[-1] if version is None else choose_prompt(task, version, config.library)
    number = free_version(task, config.library)
    return Begun(f"{task}.v{number}", begin_version(source, config.own_prompts, number), source)


def _pins(config: Config) -> dict[str, list[int | None]]:
    return {task: list(by_technique.values()) for task, by_technique in pinned_versions(config).items()}
