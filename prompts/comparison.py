"""What differs between two versions of a prompt: their lines, and what that changes for a model."""

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import unified_diff
from typing import Any

from prompts.edits import read_exactly
from prompts.prompt import Prompt


@dataclass(frozen=True)
class Difference:
    """What differs between two prompts."""

    lines: tuple[str, ...]
    """A unified diff of the files."""
    text: bool
    """Whether messages differ in their roles or texts."""
    schema: bool
    """Whether the forms of the answer differ."""
    sampling: Mapping[str, tuple[Any, Any]]
    """Sampling parameter -> its two values; None where it is not set."""
    status: tuple[str, str]
    """The two statuses."""
    same_answers: bool
    """Whether the same answers serve both: texts, forms and sampling are the same."""


def compare(old: Prompt, new: Prompt, names: tuple[str, str]) -> Difference:
    """Compare two versions.

    Args:
        old: One version.
        new: The other one.
        names: Their names in the heading of the diff.
    """
    before, after = (read_exactly(one.path).splitlines() for one in (old, new))
    lines = tuple(unified_diff(before, after, *names, lineterm=""))
    first, second = old.front.sampling, new.front.sampling
    changed = {
        name: (first.get(name), second.get(name)) for name in {**first, **second} if first.get(name) != second.get(name)
    }
    return Difference(
        lines=lines,
        text=old.parts != new.parts,
        schema=old.front.answer_schema != new.front.answer_schema,
        sampling=changed,
        status=(old.front.status, new.front.status),
        same_answers=old.digest == new.digest,
    )
