"""All techniques: found by walking `llm_tasks/`, so that a new file needs no registration."""

import importlib
import pkgutil
from collections.abc import Iterable

import llm_tasks
from llm_tasks.pipeline.task import Task


class UnknownTask(Exception):
    """A name that is no technique.

    Args:
        names: The unknown names.
        known: The names there are.
    """

    def __init__(self, names: Iterable[str], known: Iterable[str]) -> None:
        self.names, self.known = tuple(names), tuple(known)
        super().__init__(f"no such task: {', '.join(self.names)}\n  there are: {', '.join(self.known)}")


def find_tasks() -> dict[str, Task]:
    """Import every file of `llm_tasks/` and collect the techniques declared there, by name.

    Raises:
        ValueError: Two files declare a technique of one name.
    """
    found: dict[str, Task] = {}
    where: dict[str, str] = {}
    for info in sorted(pkgutil.iter_modules(llm_tasks.__path__), key=lambda module: module.name):
        if info.ispkg:
            continue
        module = importlib.import_module(f"llm_tasks.{info.name}")
        for task in [value for value in vars(module).values() if isinstance(value, Task)]:
            if found.setdefault(task.name, task) is not task:
                raise ValueError(f"{task.name} is declared in {where[task.name]} and in {module.__name__}: rename one")
            where.setdefault(task.name, module.__name__)
    return found


def choose_tasks(names: Iterable[str] | None = None) -> tuple[Task, ...]:
    """Take the named techniques, or all.

    Raises:
        UnknownTask: A name is no technique.
    """
    known = find_tasks()
    wanted = list(known) if names is None else list(dict.fromkeys(names))
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise UnknownTask(unknown, known)
    return tuple(known[name] for name in wanted)
