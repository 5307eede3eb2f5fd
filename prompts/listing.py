"""Lists the versions of prompts: where each lies, what it shadows, and whether a refresh asks with it."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal

from base.faults import WrongUse
from prompts.library import Library, choose_prompt, find_prompts, find_shadowed, live_prompt
from prompts.prompt import Prompt

Origin = Literal["shipped", "plug-in", "own"]
Pins = Mapping[str, Collection[int | None]]
"""Task of a prompt -> the version that each of its techniques fixes; None = the newest live one."""


@dataclass(frozen=True)
class Version:
    """One version of a prompt, and its place in the library."""

    prompt: Prompt
    """The prompt."""
    origin: Origin
    """shipped: in this package; plug-in: beside a plug-in; own: in the team's folder of prompts."""
    shadowed: bool
    """Whether the team's folder has a file of the same name and version, which is used instead."""
    shadows: Origin | None
    """For an own file: where the file lies that it replaces; None if it replaces none."""
    runs: bool
    """Whether a refresh asks with it."""


def list_versions(library: Library, pins: Pins, task: str | None = None) -> list[Version]:
    """List the versions of one prompt or of all, in order of task and version; a shadowed file follows its shadow.

    Args:
        library: Where to look.
        pins: Versions that knowflow.yaml fixes.
        task: Task of the prompt; None = all.

    Raises:
        WrongUse: A file is not a prompt, or there is no prompt of the task.
    """
    used, others = find_prompts(library), find_shadowed(library)
    _check_task(task, used)
    found: list[Version] = []
    for name in sorted(used) if task is None else [task]:
        asked_with = running(used[name], pins.get(name, ()))
        for number, prompt in sorted(used[name].items()):
            beneath = others.get(name, {}).get(number)
            origin = origin_of(prompt, library)
            shadowed = beneath if origin == "own" else None
            below = origin_of(shadowed, library) if shadowed else None
            found.append(Version(prompt, origin, False, below, number in asked_with))
            if shadowed and below:
                found.append(Version(shadowed, below, True, None, False))
    return found


def running(versions: Mapping[int, Prompt], pinned: Collection[int | None] = ()) -> set[int]:
    """Return the versions that a refresh asks with; a fixed version that is not live is none of them."""
    live = {number for number, prompt in versions.items() if prompt.front.status == "live"}
    newest = max(live, default=None)
    return {number for number in (newest if one is None else one for one in pinned or (None,)) if number in live}


def origin_of(prompt: Prompt, library: Library) -> Origin:
    """Return where the file of a prompt lies."""
    if library.own is not None and prompt.path.is_relative_to(library.own):
        return "own"
    return "plug-in" if any(prompt.path.is_relative_to(folder) for folder in library.plugins) else "shipped"


def named_prompt(name: str, library: Library, pins: Pins) -> Prompt:
    """Return the prompt of a name: `kar_item.v2`, or `kar_item` for the version that a refresh asks with.

    Raises:
        WrongUse: There is no such prompt.
    """
    task, version = split_name(name)
    _check_task(task, find_prompts(library))
    if version is not None:
        return choose_prompt(task, version, library)
    return live_prompt(task, max((one for one in pins.get(task, ()) if one is not None), default=None), library)


def split_name(name: str) -> tuple[str, int | None]:
    """Split the name of a prompt into its task and its version.

    Example:
        >>> split_name("kar_item.v2"), split_name("kar_item")
        (('kar_item', 2), ('kar_item', None))
    """
    found = re.fullmatch(r"(.+)\.v(\d+)(?:\.md)?", name)
    return (found[1], int(found[2])) if found else (name, None)


def read_version(said: str, task: str) -> int:
    """Read a version such as `v2`, `2` or `kar_item.v2`.

    Raises:
        WrongUse: It is none.

    Example:
        >>> read_version("v2", "kar_item"), read_version("2", "kar_item"), read_version("kar_item.v2", "kar_item")
        (2, 2, 2)
    """
    number = said.removeprefix(f"{task}.").removeprefix("v")
    if not number.isdecimal():
        raise WrongUse(f"'{said}' is no version\n  give one such as v2; see: knowflow prompts list {task}")
    return int(number)


def _check_task(task: str | None, known: Collection[str]) -> None:
    if task is None or task in known:
        return
    near = get_close_matches(task, known, n=1)
    fix = f"did you mean {near[0]}?" if near else "see: knowflow prompts list"
    raise WrongUse(f"there is no prompt {task}\n  {fix}")
