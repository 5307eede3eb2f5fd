"""The prompts of a config: every version, which one a refresh asks with, and what knowflow.yaml fixes."""

from app.config import Config
from llm_tasks.pipeline.catalogue import find_tasks
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


def _pins(config: Config) -> dict[str, list[int | None]]:
    return {task: list(by_technique.values()) for task, by_technique in pinned_versions(config).items()}
