"""All techniques: every file of `llm_tasks/` and of a team's own folders, found without registration."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from base.plugins import Kind, choose, find
from llm_tasks.pipeline.task import Task

TECHNIQUES = Kind("task", "llm_tasks", Task)


def find_tasks(folders: Sequence[Path] = ()) -> dict[str, Task]:
    """All techniques by name.

    Args:
        folders: Folders of a team's own plug-ins.

    Raises:
        PluginFault: A file cannot be imported, or two techniques have one name.
    """
    return find(TECHNIQUES, folders)


def choose_tasks(names: Iterable[str] | None = None, folders: Sequence[Path] = ()) -> tuple[Task, ...]:
    """Take the named techniques, each once, or all.

    Raises:
        UnknownPlugin: A name is no technique.
        PluginFault: As `find_tasks`.
    """
    known = find_tasks(folders)
    return tuple(choose(TECHNIQUES, list(dict.fromkeys(names if names is not None else known)), folders))
