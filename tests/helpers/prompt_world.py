"""A world in which it is known how good a prompt is: instructions in it raise or lower the mean score of its answers.

The reflecting side writes better, neutral, worse and broken prompts in turn, by a hash of what it is asked; the scores
have noise, so that one batch of rows does not tell a good prompt from a bad one.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from llm_tasks.pipeline.budget import BudgetReached
from prompts.prompt import FrontMatter, Prompt
from prompts.rewritten import HEADING, Parts, RewriteReader, as_text
from tuning.optimiser import Case, Problem

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks" / "optimise_engine"))
from optimise_engine import HARMS, HELPS, chance, rewritten
from optimise_engine import quality as of_text

__all__ = ["FIRST", "HARMS", "HELPS", "World", "quality", "reader"]
FIRST: Parts = (("user", "Rank the candidates.\n{{ history }}\n{{ candidates }}"),)


def quality(parts: Parts) -> float:
    """The true mean score of a prompt: 0.4 at first, 0.2 more with each helpful instruction, 0.2 less with the harmful."""
    return of_text(as_text(parts), first=0.4, step=0.2)


def reader(first: Parts = FIRST) -> RewriteReader:
    front = FrontMatter.model_validate(
        {"task": "rank", "version": 1, "status": "live", "schema": {"type": "text"}, "sampling": {}}
    )
    return RewriteReader(Prompt(Path("rank.v1.md"), front, first))


@dataclass
class World:
    """Answers and reflects, and notes what it was asked."""

    seed: int = 0
    tokens: int = 200_000
    noise: float = 0.35
    domains: Sequence[str] = ("all",)
    used: int = 0
    answered: list[tuple[Parts, str]] = field(default_factory=list)
    reflected: list[tuple[str, Mapping[str, Any], int]] = field(default_factory=list)

    def problem(self, learn: int = 40, judge: int = 40) -> Problem:
        share = len(self.domains)
        return Problem(
            FIRST,
            {one: tuple(f"{one} learn {n}" for n in range(learn // share)) for one in self.domains},
            {one: tuple(f"{one} judge {n}" for n in range(judge // share)) for one in self.domains},
            self.answer,
            self.reflect,
            reader(),
            lambda: self.used / self.tokens,
            "the next item comes first",
        )

    def spend(self, tokens: int) -> None:
        if self.used >= self.tokens:
            raise BudgetReached(f"{self.used:,} tokens of at most {self.tokens:,}\n  the answers so far are kept")
        self.used += tokens

    def answer(self, parts: Parts, rows: Sequence[str]) -> list[Case]:
        cases = []
        for row in rows:
            self.spend(200)
            self.answered.append((parts, row))
            off = self.noise * 2 * (chance(self.seed, parts, row) - 0.5)
            score = min(max(quality(parts) + off, 0.0), 1.0)
            cases.append(Case(row, score, f"history of {row}", "1, 2, 3", f"score {score:.2f}"))
        return cases

    def reflect(self, how: str, variables: Mapping[str, Any], attempt: int) -> str | None:
        self.spend(600)
        self.reflected.append((how, variables, attempt))
        if how == "po4isr_reasons":
            return "1. It does not say what matters."
        text = str(variables["prompt"])
        assert HEADING.match(text)
        key = (self.seed, how, sorted(map(repr, variables.items())), attempt)
        if how == "po4isr_augment":
            return f"```\n{text.replace('Rank', 'Order')}\n```"
        return rewritten(text, chance("kind", *key), chance("line", *key))
