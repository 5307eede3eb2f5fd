"""The interface of an optimiser of prompts: what it may ask, its options, and what it returns.

`knowflow prompts optimise TASK --method NAME` finds the optimisers in `tuning/optimisers/` and in a team's own folders.
An optimiser decides which prompt to rewrite, from which answers, and which rewritten ones to try. Everything else is
shared (`tuning/search.py`): asking, memory, the budget, checking what a model wrote, and the final choice.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from base.frozen import Frozen
from base.plugins import Kind
from prompts.rewritten import Parts

if TYPE_CHECKING:
    from tuning.search import Search

O = TypeVar("O", bound=Frozen)  # noqa: E741 - options


@dataclass(frozen=True)
class Case:
    """What a prompt led to for one row."""

    row: str
    """Key of the row."""
    score: float
    """How good the answer is, from 0 to 1."""
    shown: str = field(repr=False)
    """What the prompt showed of the row."""
    said: str = field(repr=False)
    """The answer, or why there is none."""
    wrong: str = field(repr=False)
    """What is wrong with the answer, in words for the reflecting model; what is good about it if nothing is."""
    monitors: Mapping[str, float] = field(default_factory=dict)
    """Further measures that are shown and decide nothing."""


@dataclass(frozen=True)
class Problem:
    """A prompt to improve, and all that an optimiser may ask."""

    first: Parts
    """The messages of the first prompt."""
    learn: Mapping[str, tuple[str, ...]]
    """Domain -> rows from whose answers the reflecting model learns; most problems have one domain."""
    judge: Mapping[str, tuple[str, ...]]
    """Domain -> rows on which prompts are compared; none of them is ever shown to the reflecting model."""
    answer: Callable[[Parts, Sequence[str]], Sequence[Case]]
    """Asks with a prompt about some rows and scores the answers."""
    reflect: Callable[[str, Mapping[str, Any], int], str | None]
    """Asks the reflecting model with one of the prompts in `prompts/optimise/`, its variables, and the number of the
    attempt: the same question gets another answer at another attempt. Returns None if there is no answer."""
    read: Callable[[str], Parts]
    """Reads a prompt that the reflecting model wrote; raises `NotAPrompt` if it cannot be used."""
    used: Callable[[], float]
    """Returns the share of the budget that is used."""
    goal: str
    """What makes an answer good, in words."""


@dataclass(frozen=True)
class Candidate:
    """One prompt of a search."""

    number: int
    """0 is the first prompt."""
    parts: Parts
    """Its messages."""
    parent: int | None
    """The candidate that it was rewritten from; None for the first one."""
    how: str
    """The prompt in `prompts/optimise/` that it was rewritten with; empty for the first one."""


@dataclass(frozen=True)
class Optimiser(Generic[O]):
    """One way of searching for a better prompt. The docstring of its file has the sections of a technique's."""

    name: str
    """Its name after `--method`."""
    summary: str
    """What it does, in a line."""
    options: type[O]
    """Its options; each can be set with `--set NAME=VALUE`."""
    run: Callable[["Search", O], Sequence[Candidate]]
    """Searches until its rounds are over or `search.open` is false, and returns the candidates to compare at the end,
    the most promising one first. It may be stopped at any question by `BudgetReached`."""


OPTIMISERS: Kind[Optimiser[Any]] = Kind("optimiser", "tuning.optimisers", Optimiser)
