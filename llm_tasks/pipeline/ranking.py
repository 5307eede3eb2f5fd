"""The interface of a technique whose answers rank candidates: for which rows it is known what was wanted.

A file of a technique declares a `Ranking` beside it; `knowflow prompts optimise` then compares prompts by MRR or NDCG.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from base.plugins import Kind
from llm_tasks.pipeline.task import Inputs, Row

NUMBER = re.compile(r"\s*(\d+)")


@dataclass(frozen=True)
class RankedRow:
    """A row of a technique that ranks candidates, with what the prompt does not tell."""

    row: Row
    """The row."""
    wanted: int
    """Number of the wanted candidate in the prompt, from 1."""
    candidates: int
    """How many candidates there are."""
    topics: tuple[str, ...]
    """Categories of the items in the history, the most frequent first; empty if items have none."""


@dataclass(frozen=True)
class Ranking:
    """How to judge the answers of a technique that ranks candidates."""

    name: str
    """Name of the technique."""
    rows: Callable[[Inputs, str, int, int], Iterator[RankedRow]]
    """Takes the inputs, a part of the split (train or validation), the number of rows at most, and a seed."""
    order: Callable[[Any], Sequence[str]]
    """Returns the ranked candidates of a parsed answer as the model wrote them: numbers, with or without names."""
    topics: Callable[[Any], Sequence[str]]
    """Returns the topics that a parsed answer names."""


RANKINGS: Kind[Ranking] = Kind("ranking", "llm_tasks", Ranking)


def places(said: Sequence[str], candidates: int) -> list[int]:
    """Read the ranked numbers of an answer; what is no number of a candidate, or was ranked before, is left out.

    Args:
        said: What the model listed, the first one best.
        candidates: How many candidates there are, numbered from 1.

    Example:
        >>> places(["3", "1. Heat (1995)", "3", "12", "none"], 4)
        [3, 1]
    """
    found: list[int] = []
    for one in said:
        match = NUMBER.match(str(one))
        number = int(match[1]) if match and len(match[1]) < 9 else 0
        if 1 <= number <= candidates and number not in found:
            found.append(number)
    return found
