"""Write new versions of a prompt as files of a team's own folder; the same text is never written as two versions."""

import os
from pathlib import Path

import yaml

from prompts.library import Library, find_prompts
from prompts.prompt import FrontMatter, Prompt
from prompts.rewritten import Parts, as_text


def version_of(first: Prompt, parts: Parts, version: int, folder: Path = Path()) -> Prompt:
    """Return a new version of a prompt with other messages, a draft.

    Args:
        first: The prompt with the schema and the sampling.
        parts: The messages.
        version: Its number.
        folder: The folder of its file, which need not exist.
    """
    front = first.front.model_copy(update={"version": version, "status": "draft", "origin": None})
    return Prompt(folder / f"{front.task}.v{version}.md", front, parts)


def number_versions(first: Prompt, every: list[Parts], library: Library) -> list[int]:
    """Return the version of each text: that of the file which holds it already, else the next free number.

    Args:
        first: The prompt with the schema and the sampling.
        every: The messages of each.
        library: Where prompts are looked for.
    """
    there = find_prompts(library).get(first.front.task, {})
    by_digest = {prompt.digest: number for number, prompt in sorted(there.items(), reverse=True)}
    free, numbers = max(there, default=0) + 1, list[int]()
    for parts in every:
        digest = version_of(first, parts, 1).digest
        if digest not in by_digest:
            by_digest[digest], free = free, free + 1
        numbers.append(by_digest[digest])
    return numbers


def write_prompt(prompt: Prompt) -> None:
    """Write a prompt to its file at once, so that no reader sees half of it."""
    prompt.path.parent.mkdir(parents=True, exist_ok=True)
    front = prompt.front.model_dump(mode="json", by_alias=True, exclude_none=True)
    shown = yaml.safe_dump(front, allow_unicode=True, sort_keys=False, width=110)
    beside = prompt.path.with_name(f".{prompt.path.name}.{os.getpid()}")
    beside.write_text(f"---\n{shown}---\n{as_text(prompt.parts)}\n", encoding="utf-8")
    beside.replace(prompt.path)


def with_front(prompt: Prompt, **changes: object) -> Prompt:
    """Return a prompt with changes of its front matter, such as its status."""
    front = FrontMatter.model_validate({**prompt.front.model_dump(by_alias=True), **changes})
    return Prompt(prompt.path, front, prompt.parts)
