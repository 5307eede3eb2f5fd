"""Promotes and retires prompts of a config: what is refused, who does it, and what the next refresh would ask."""

import getpass
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from shutil import which
from typing import Any, Literal

from app.config import Config
from app.prompt_files import pinned_versions
from app.prompt_lint import lint_prompts
from app.workplace import chosen_tasks
from app.workplace import plan as make_plan
from base.faults import WrongUse
from llm_tasks.pipeline.plan import TaskPlan
from prompts.promotion import Act, Change, carry_out, finish, newest_live, plan_promotion, plan_retirement


@dataclass(frozen=True)
class Done:
    """What was done."""

    act: Act
    """The act, as in the history."""
    changes: Sequence[Change]
    """The statuses that changed."""
    finished: Act | None
    """An earlier act that had been interrupted and was finished first; None if there was none."""


@dataclass(frozen=True)
class Reason:
    """Why something is done."""

    why: str
    """In words."""
    who: str | None = None
    """By whom; None = git's user.name, else the login."""
    figures: Mapping[str, Any] | list[Any] | None = None
    """Figures that speak for it."""


def promote(config: Config, task: str, version: int, reason: Reason, *, force: bool = False) -> Done:
    """Make a version the one that a refresh asks with.

    Args:
        config: The config.
        task: Task of the prompt.
        version: The version.
        reason: Why, by whom.
        force: Promote it although the lint finds faults.

    Raises:
        WrongUse: There is no such version, it is live already, knowflow.yaml fixes another one, or it has faults.
    """
    own = config.own_prompts
    finished = finish(config.library, own)
    if finished is not None and (finished.act, finished.task, finished.version) == ("promote", task, version):
        return Done(finished, (), finished)
    changes = plan_promotion(task, version, config.library, own)
    _check_pins(config, task, version)
    faults = [] if force else [one for of in lint_prompts(config, [f"{task}.v{version}"]) for one in of.findings]
    if lines := [f"  {one.rule}: {one.text}" for one in faults if one.level == "fault"]:
        raise WrongUse(
            "\n".join([f"{task}.v{version} has faults:", *lines, "  fix them, or promote it all the same: --force"])
        )
    return _carry_out(config, "promote", (task, version), reason, changes, finished)


def retire(config: Config, task: str, version: int, reason: Reason) -> Done:
    """Stop asking with a version; its file stays.

    Raises:
        WrongUse: There is no such version, it is retired already, the only live one, or knowflow.yaml fixes it.
    """
    own = config.own_prompts
    finished = finish(config.library, own)
    if finished is not None and (finished.act, finished.task, finished.version) == ("retire", task, version):
        return Done(finished, (), finished)
    changes = plan_retirement(task, version, config.library, own)
    for technique, pinned in pinned_versions(config).get(task, {}).items():
        if pinned == version:
            fix = "remove it, or name another version"
            raise WrongUse(f"tasks.{technique}.prompt_version in knowflow.yaml fixes version {version}\n  {fix}")
    return _carry_out(config, "retire", (task, version), reason, changes, finished)


def _check_pins(config: Config, task: str, version: int) -> None:
    for technique, pinned in pinned_versions(config).get(task, {}).items():
        if pinned not in (None, version):
            what = (
                f"tasks.{technique}.prompt_version in knowflow.yaml fixes version {pinned}, so {version} would not run"
            )
            raise WrongUse(f"{what}\n  remove it, or set it to {version}")


def _carry_out(
    config: Config,
    what: Literal["promote", "retire"],
    which_one: tuple[str, int],
    reason: Reason,
    changes: Sequence[Change],
    finished: Act | None,
) -> Done:
    task, version = which_one
    before, own = newest_live(task, config.library), config.own_prompts
    after = version if what == "promote" else newest_live(task, config.library, without=version)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    who = reason.who or author(config.folder)
    act = Act(what, task, version, before, after, now, who, reason.why, reason.figures)
    carry_out(act, config.library, own)
    return Done(act, changes, finished)


def author(folder: Path) -> str:
    """Return git's `user.name` as a folder sees it, else the login."""
    git = which("git")
    if git is not None:
        found = subprocess.run(
            [git, "config", "user.name"], cwd=folder, capture_output=True, text=True, check=False, timeout=10
        )
        if found.returncode == 0 and found.stdout.strip():
            return found.stdout.strip()
    return getpass.getuser()


def next_plans(config: Config, task: str) -> list[TaskPlan]:
    """Plan the techniques that knowflow.yaml runs and that ask with a prompt; nothing is written."""
    names = [one.name for one in chosen_tasks(config, None) if one.prompt == task]
    return [one for one in make_plan(config, names) if one.task.name in names] if names else []
