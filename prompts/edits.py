"""Writes prompt files into a team's own folder: a new version, or another status; every other byte stays as it is."""

import re
from collections.abc import Mapping
from pathlib import Path

from base.faults import WrongUse
from base.files import write_whole
from prompts.domain import domain_files
from prompts.faults import unfit
from prompts.library import Library, find_prompts, find_shadowed
from prompts.prompt import Prompt, read_prompt


def read_exactly(path: Path) -> str:
    """Read a text file without changing its ends of lines."""
    return path.read_bytes().decode("utf-8")


def with_front(text: str, values: Mapping[str, object], file: str) -> str:
    r"""Return the text of a prompt file with other values in its front matter.

    Args:
        text: The text of the file.
        values: Key -> its value, such as `{"status": "live"}`.
        file: Name of the file, for messages.

    Raises:
        WrongUse: A key does not stand at the start of a line of its own.

    Example:
        >>> with_front("---\nstatus: draft  # mine\n---\nstatus: draft", {"status": "live"}, "a.v1.md")
        '---\nstatus: live  # mine\n---\nstatus: draft'
    """
    end = re.search(r"^---\r?\n.*?^(?=---)", text, re.DOTALL | re.MULTILINE)
    head, body = (text[: end.end()], text[end.end() :]) if end else ("", text)
    for key, value in values.items():
        pattern = rf"""^({key}[ \t]*:[ \t]*)(["']?)[\w.-]+\2(?=[ \t]*(?:[#\r\n]|$))"""
        head, count = re.subn(pattern, rf"\g<1>{value}", head, flags=re.MULTILINE)
        if count != 1:
            raise unfit(file, f"its front matter has no line `{key}: ...`", f"write `{key}:` on a line of its own")
    return head + body


def free_version(task: str, library: Library) -> int:
    """Return the next version of a task's prompt that no file has, shadowed ones included.

    Raises:
        WrongUse: A file is not a prompt.
    """
    versions = {*find_prompts(library).get(task, ()), *find_shadowed(library).get(task, ())}
    return max(versions, default=0) + 1


def begin_version(prompt: Prompt, own: Path, number: int) -> Path:
    """Copy a prompt into the team's own folder as a new version with status draft.

    Args:
        prompt: The version to begin with.
        own: The team's folder; made if it is missing.
        number: The new version.

    Returns:
        The new file.

    Raises:
        WrongUse: The file exists.
    """
    path = own / f"{prompt.front.task}.v{number}.md"
    text = with_front(read_exactly(prompt.path), {"version": number, "status": "draft"}, prompt.file)
    return write_new(path, text)


def begin_domain(name: str, library: Library, own: Path) -> Path:
    """Copy a domain into `domains/` of the team's own folder.

    Returns:
        The new file, which shadows the one that it was copied from.

    Raises:
        WrongUse: There is no such domain, or the team has it already.
    """
    named = domain_files(library.domain_folders)
    if name not in named:
        raise WrongUse(f"there is no domain {name}\n  use one of {', '.join(sorted(named))}")
    return write_new(own / "domains" / f"{name}.yaml", read_exactly(named[name]))


def own_file(prompt: Prompt, own: Path) -> Path:
    """Return where the team's own file of a version is, or where one that shadows this version belongs."""
    return prompt.path if prompt.path.is_relative_to(own) else own / prompt.file


def set_status(prompt: Prompt, status: str, path: Path) -> None:
    """Write a version with another status, in its own place or as a copy that shadows it; a kill leaves no part of it.

    Args:
        prompt: The version.
        status: Its new status.
        path: The file to write.

    Raises:
        WrongUse: The front matter has no line for the status.
    """
    text = with_front(read_exactly(prompt.path), {"status": status}, prompt.file)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, text)
    read_prompt(path)


def write_new(path: Path, text: str) -> Path:
    """Write a file that must not exist, whole or not at all.

    Raises:
        WrongUse: It exists.
    """
    if path.exists():
        raise WrongUse(f"{path}: exists\n  edit it, or delete it first")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, text)
    return path
