"""Find all techniques: every file in `llm_tasks/` and in a team's own folders, without registration."""

from collections.abc import Iterable, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

from base.plugins import Kind, PluginFault, choose, find
from llm_tasks.pipeline.task import Task

TECHNIQUES = Kind("task", "llm_tasks", Task)


def find_tasks(folders: Sequence[Path] = ()) -> dict[str, Task]:
    """Return all techniques by name.

    Args:
        folders: Folders of a team's own plug-ins.

    Raises:
        PluginFault: A file cannot be imported, or two techniques have the same name.
    """
    return find(TECHNIQUES, folders)


def choose_tasks(names: Iterable[str] | None = None, folders: Sequence[Path] = ()) -> tuple[Task, ...]:
    """Return the named techniques, each once, or all.

    Raises:
        UnknownPlugin: There is no technique of that name.
        PluginFault: See `find_tasks`.
    """
    known = find_tasks(folders)
    return tuple(choose(TECHNIQUES, list(dict.fromkeys(names if names is not None else known)), folders))


def in_order(tasks: Sequence[Task], known: Mapping[str, Task]) -> tuple[Task, ...]:
    """Sort techniques so that each follows those whose answers it reads; missing ones that are needed are added.

    Args:
        tasks: The techniques that were named.
        known: All techniques by name.

    Returns:
        Each once, otherwise in the order given.

    Raises:
        PluginFault: A technique needs one that does not exist, or needs itself through others.
    """
    graph: dict[str, tuple[str, ...]] = {}
    waiting = list(tasks)
    while waiting:
        task = waiting.pop(0)
        graph[task.name] = task.needs
        if missing := [name for name in task.needs if name not in known]:
            raise PluginFault(
                f"{task.name} needs {', '.join(missing)}, which is not a task\n  there are: {', '.join(known)}"
            )
        waiting += [known[name] for name in task.needs if name not in graph]
    try:
        order = list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        raise PluginFault(
            f"tasks need each other: {' -> '.join(error.args[1])}\n  remove one of these needs=(...)"
        ) from None
    place = {name: number for number, name in enumerate(graph)}
    depth: dict[str, int] = {}
    for name in order:
        depth[name] = max((depth[needed] + 1 for needed in graph[name]), default=0)
    return tuple(known[name] for name in sorted(order, key=lambda name: (depth[name], place[name])))
