"""Find all prompt files in the folders, so that a new file needs no registration."""

from collections.abc import Sequence
from pathlib import Path

from prompts.faults import unfit
from prompts.prompt import Prompt, read_prompt

FOLDER = Path(__file__).parent


def find_prompts(folders: Sequence[Path] = ()) -> dict[str, dict[int, Prompt]]:
    """Read every prompt file under `prompts/` and under a team's own folders.

    Args:
        folders: Folders of a team's own plug-ins.

    Returns:
        Task name -> version -> prompt.

    Raises:
        WrongUse: A file is not a prompt, or two files have the same version of a task.
    """
    found: dict[str, dict[int, Prompt]] = {}
    for path in [path for folder in (FOLDER, *folders) for path in sorted(folder.rglob("*.v*.md"))]:
        prompt = read_prompt(path)
        versions = found.setdefault(prompt.front.task, {})
        if prompt.front.version in versions:
            raise unfit(path.name, "exists twice", "delete one, or give it the next version")
        versions[prompt.front.version] = prompt
    return found


def choose_prompt(task: str, version: int | None = None, folders: Sequence[Path] = ()) -> Prompt:
    """Return a given version of a task's prompt, or the newest active one.

    Raises:
        WrongUse: There is no such prompt.
    """
    versions = find_prompts(folders).get(task, {})
    if version is not None and version in versions:
        return versions[version]
    active = [v for v, prompt in versions.items() if prompt.front.status == "active"]
    if version is None and active:
        return versions[max(active)]
    wanted = f"{task}.v{version}.md" if version is not None else f"an active {task}.v*.md"
    there = ", ".join(prompt.name for prompt in versions.values()) or "none"
    raise unfit(
        wanted,
        f"is not under prompts/ or plugins:; there are {there}",
        "write it, or set another version under tasks:",
    )
