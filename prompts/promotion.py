"""Promotes and retires versions of prompts, and records each act in `history.jsonl` of the team's own folder.

Only statuses in front matter change. A shipped file, or one beside a plug-in, is first copied into the team's folder,
where it shadows the original. An act is written down before it begins: one that was killed is finished by the next.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from base.faults import WrongUse
from base.files import write_whole
from prompts.edits import own_file, read_exactly, set_status, with_front
from prompts.library import Library, choose_prompt, find_prompts
from prompts.listing import running
from prompts.prompt import Prompt

HISTORY, BEGUN = "history.jsonl", ".promotion.json"


@dataclass(frozen=True)
class Act:
    """One line of the history."""

    act: Literal["promote", "retire"]
    """What was done."""
    task: str
    """Task of the prompt."""
    version: int
    """The version that was promoted or retired."""
    from_version: int | None
    """The newest live version before; None if there was none."""
    to_version: int | None
    """The newest live version after."""
    when: str
    """Time in UTC."""
    who: str
    """Who did it."""
    why: str
    """Why."""
    figures: Any = None
    """Figures that speak for it, such as those of `knowflow prompts eval --json`."""


@dataclass(frozen=True)
class Change:
    """A status that changes."""

    prompt: Prompt
    """The version before the change."""
    status: Literal["live", "retired"]
    """Its new status."""
    path: Path
    """The file that is written."""

    @property
    def copies(self) -> bool:
        """Return whether the file is a new copy, which shadows the one it comes from."""
        return self.path != self.prompt.path


def plan_promotion(task: str, version: int, library: Library, own: Path) -> list[Change]:
    """Return what a promotion changes: the version becomes live, newer live ones and the team's older ones retired.

    Args:
        task: Task of the prompt.
        version: The version that a refresh is to ask with.
        library: Where prompts are looked for.
        own: The team's folder.

    Returns:
        The changes, in the order in which they are made: until the last, a refresh asks with the version before or
        with the new one.

    Raises:
        WrongUse: There is no such version, or it is the newest live one already.
    """
    chosen = choose_prompt(task, version, library)
    if newest_live(task, library) == version:
        raise WrongUse(f"{chosen.name} is live already, and the newest that is\n  see: knowflow prompts history {task}")
    return _changes("promote", chosen, library, own)


def plan_retirement(task: str, version: int, library: Library, own: Path) -> list[Change]:
    """Return what a retirement changes.

    Raises:
        WrongUse: There is no such version, it is retired already, or it is the only live one.
    """
    chosen = choose_prompt(task, version, library)
    if chosen.front.status == "retired":
        raise WrongUse(f"{chosen.name} is retired already\n  see: knowflow prompts history {task}")
    others = [one for one in find_prompts(library)[task].values() if one is not chosen]
    if chosen.front.status == "live" and not any(one.front.status == "live" for one in others):
        fix = f"promote another first: knowflow prompts promote {task} --version N"
        raise WrongUse(f"{chosen.name} is the only live version, and without one a refresh stops\n  {fix}")
    return _changes("retire", chosen, library, own)


def _changes(act: str, chosen: Prompt, library: Library, own: Path) -> list[Change]:
    """Return the changes of an act that are not made yet."""
    if act == "retire":
        wanted: list[tuple[Prompt, Literal["live", "retired"]]] = [(chosen, "retired")]
    else:
        # The newest is retired last: until then a refresh asks with it, and not with one in between.
        versions = [one for _, one in sorted(find_prompts(library)[chosen.front.task].items())]
        others = [one for one in versions if one.front.status == "live" and one.name != chosen.name]
        older_stay = {one.name for one in others if one.front.version < chosen.front.version and not _owned(one, own)}
        wanted = [(chosen, "live"), *((one, "retired") for one in others if one.name not in older_stay)]
    changes = [Change(one, status, own_file(one, own)) for one, status in wanted if one.front.status != status]
    for change in changes:  # before any is made: a file that cannot be edited stops all of them
        with_front(read_exactly(change.prompt.path), {"status": change.status}, change.prompt.file)
    return changes


def _owned(prompt: Prompt, own: Path) -> bool:
    return prompt.path.is_relative_to(own)


def newest_live(task: str, library: Library, without: int | None = None) -> int | None:
    """Return the version that a refresh asks with unless knowflow.yaml fixes another; None if there is none.

    Args:
        task: Task of the prompt.
        library: Where prompts are looked for.
        without: A version to leave out.
    """
    versions = find_prompts(library).get(task, {})
    return max(running({number: one for number, one in versions.items() if number != without}), default=None)


def carry_out(act: Act, library: Library, own: Path) -> None:
    """Do an act and write its line into the history; killed at any point, `finish` brings it to its end.

    Args:
        act: The act.
        library: Where prompts are looked for.
        own: The team's folder; made if it is missing.
    """
    own.mkdir(parents=True, exist_ok=True)
    write_whole(own / BEGUN, _line(act))
    finish(library, own)


def finish(library: Library, own: Path) -> Act | None:
    """Finish the act that was begun, if there is one, and return it."""
    begun = own / BEGUN
    if not begun.is_file():
        return None
    act = Act(**json.loads(begun.read_text(encoding="utf-8")))
    for change in _changes(act.act, choose_prompt(act.task, act.version, library), library, own):
        set_status(change.prompt, change.status, change.path)
    if act not in read_history(own):
        file = own / HISTORY
        write_whole(file, (read_exactly(file) if file.is_file() else "") + _line(act))
    begun.unlink()
    return act


def read_history(own: Path, task: str | None = None) -> list[Act]:
    """Read the history, oldest first, of one task or of all.

    Raises:
        WrongUse: A line is none of ours.
    """
    file = own / HISTORY
    found: list[Act] = []
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines() if file.is_file() else [], 1):
        try:
            found.append(Act(**json.loads(line)))
        except (ValueError, TypeError):
            raise WrongUse(
                f"{file}: line {number} is no act\n  correct it, or take it from your version control"
            ) from None
    return [act for act in found if task in (None, act.task)]


def _line(act: Act) -> str:
    return json.dumps(asdict(act), ensure_ascii=False, allow_nan=False) + "\n"


def read_figures(path: Path) -> Mapping[str, Any] | list[Any]:
    """Read figures that speak for a promotion.

    Raises:
        WrongUse: The file is not JSON, no object or list, or holds the rows of a trial.
    """
    try:
        figures = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as fault:
        raise WrongUse(
            f"--figures: {path}: {fault}\n  give a file with JSON, as `knowflow prompts eval --json` prints"
        ) from None
    if not isinstance(figures, dict | list):
        raise WrongUse(
            f"--figures: {path} holds a single value\n  give an object, as `knowflow prompts eval --json` prints"
        )
    if isinstance(figures, dict) and isinstance(figures.get("rows"), list):  # `knowflow forget` reads no history
        raise WrongUse(
            f"--figures: {path} holds rows, which may say something of a user, and a history keeps what it gets\n"
            "  give the .json beside the page of a `prompts eval`, without .rows"
        )
    return figures
