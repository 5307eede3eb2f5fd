"""Find all prompt files in the folders, so that a new file needs no registration.

A team's own folder shadows everything else: a file there replaces the prompt of the same name and version, and its
`domains/` the domain of the same name. `live` is the only status that a refresh asks with.
"""

import glob
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from prompts.faults import unfit
from prompts.prompt import Prompt, read_prompt

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Library:
    """Where prompts and domains are looked for, besides those that are shipped."""

    plugins: tuple[Path, ...] = ()
    """Folders of a team's own plug-ins."""
    own: Path | None = None
    """The team's folder of prompts, which shadows the others; None if there is none."""

    @property
    def domain_folders(self) -> tuple[Path, ...]:
        """Folders that may have domains in `domains/`; a later one shadows an earlier one."""
        return self.plugins if self.own is None else (*self.plugins, self.own)


SHIPPED = Library()
"""The shipped prompts alone."""


def find_prompts(library: Library = SHIPPED, task: str | None = None) -> dict[str, dict[int, Prompt]]:
    """Read every prompt file, or those of one task: a broken draft of another one stops nothing.

    Args:
        library: Where to look.
        task: Name of a task; None = all.

    Returns:
        Task name -> version -> prompt.

    Raises:
        WrongUse: A file is not a prompt, or two files that do not shadow each other have the same version of a task.
    """
    found = find_shadowed(library, task)
    for name, versions in _read_folders(() if library.own is None else (library.own,), task).items():
        found[name] = found.get(name, {}) | versions
    return found


def find_shadowed(library: Library, task: str | None = None) -> dict[str, dict[int, Prompt]]:
    """Read the prompt files that are not in the team's own folder, whether a file there shadows them or not.

    Raises:
        WrongUse: A file is not a prompt, or two files have the same version of a task.
    """
    return _read_folders((FOLDER, *library.plugins), task, library.own)


def _read_folders(
    folders: Sequence[Path], task: str | None, without: Path | None = None
) -> dict[str, dict[int, Prompt]]:
    """Read the prompts in folders, of one task or of all, except those in one folder, which may lie within another."""
    found: dict[str, dict[int, Prompt]] = {}
    pattern = f"{'*' if task is None else glob.escape(task)}.v*.md"
    for path in [path for folder in folders for path in sorted(folder.rglob(pattern))]:
        if without is not None and path.is_relative_to(without):
            continue
        prompt = read_prompt(path)
        versions = found.setdefault(prompt.front.task, {})
        if prompt.front.version in versions:
            raise unfit(path.name, "exists twice", "delete one, or give it the next version")
        versions[prompt.front.version] = prompt
    return found


def choose_prompt(task: str, version: int | None = None, library: Library = SHIPPED) -> Prompt:
    """Return a given version of a task's prompt, whatever its status, or the newest live one.

    Raises:
        WrongUse: There is no such prompt.
    """
    versions = find_prompts(library, task).get(task, {})
    if version is not None and version in versions:
        return versions[version]
    live = [v for v, prompt in versions.items() if prompt.front.status == "live"]
    if version is None and live:
        return versions[max(live)]
    wanted = f"{task}.v{version}.md" if version is not None else f"a live {task}.v*.md"
    there = ", ".join(f"{prompt.name} ({prompt.front.status})" for prompt in versions.values()) or "none"
    raise unfit(
        wanted,
        f"is not under prompts/, prompts: or plugins:; there are {there}",
        f"write it: knowflow prompts new {task}, or set another version under tasks:",
    )


def live_prompt(task: str, version: int | None = None, library: Library = SHIPPED) -> Prompt:
    """Return the prompt that a refresh asks with: the newest live version, or a given one if it is live.

    Raises:
        WrongUse: There is no such prompt, or the given version is not live.
    """
    prompt = choose_prompt(task, version, library)
    if prompt.front.status != "live":
        raise unfit(
            prompt.file,
            f"has status {prompt.front.status}, and a refresh asks with live prompts only",
            f"promote it: knowflow prompts promote {task} --version v{version}, or leave prompt_version out",
        )
    return prompt
