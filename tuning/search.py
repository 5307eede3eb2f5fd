"""The search of an optimiser: every candidate and score so far, and the final choice.

Reproducible: with the same seed and the same answers, a search takes the same steps. So a search that was killed and is
started again gets all answers it had from the store, and continues where it was.
"""

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

from llm_tasks.pipeline.budget import BudgetReached
from prompts.rewritten import NotAPrompt, as_text
from tuning.optimiser import Candidate, Case, O, Optimiser, Problem

EXPLORED = 0.75
"""Share of the budget that optimisers may use; the rest is kept to compare the most promising prompts on all rows."""
FINALISTS = 5
"""How many prompts are compared on all rows at the end, besides the first one."""
NO_ANSWER, SEEN = "the reflecting model gave no answer", "is the same as an earlier one"


@dataclass
class Search:
    """One search; optimisers propose and judge candidates through it."""

    problem: Problem
    """The prompt to improve, and whom to ask."""
    rng: random.Random
    """The only source of chance."""
    candidates: list[Candidate] = field(default_factory=list)
    """All candidates, the first prompt first."""
    rejected: Counter[str] = field(default_factory=Counter)
    """Why rewritten prompts were not tried -> how often."""
    _cases: dict[int, dict[str, Case]] = field(default_factory=dict, repr=False)
    _attempts: Counter[str] = field(default_factory=Counter, repr=False)

    def __post_init__(self) -> None:
        """Begin with the first prompt."""
        self.candidates.append(Candidate(0, self.problem.first, None, ""))

    @property
    def first(self) -> Candidate:
        """Return the prompt that the search started from."""
        return self.candidates[0]

    @property
    def open(self) -> bool:
        """Return whether there is budget left for new candidates."""
        return self.problem.used() < EXPLORED

    def draw(self, number: int, domain: str | None = None) -> list[str]:
        """Draw rows to learn from.

        Args:
            number: How many, at most.
            domain: Draw from this one only; from all if not given.
        """
        rows = [row for name, of in self.problem.learn.items() if domain in (None, name) for row in of]
        return self.rng.sample(rows, min(number, len(rows)))

    def answer(self, candidate: Candidate, rows: Sequence[str]) -> list[Case]:
        """Return what a candidate leads to for some rows; known ones are not asked again."""
        known = self._cases.setdefault(candidate.number, {})
        missing = [row for row in dict.fromkeys(rows) if row not in known]
        if missing:
            known |= {case.row: case for case in self.problem.answer(candidate.parts, missing)}
        return [known[row] for row in rows]

    def judge(self, candidate: Candidate) -> float:
        """Score a candidate on all rows for comparison."""
        self.answer(candidate, [row for rows in self.problem.judge.values() for row in rows])
        return self.score(candidate)

    def judged(self, candidate: Candidate, domain: str | None = None) -> list[Case]:
        """Return the known cases of a candidate on rows for comparison."""
        known = self._cases.get(candidate.number, {})
        rows = [row for name, of in self.problem.judge.items() if domain in (None, name) for row in of]
        return [known[row] for row in rows if row in known]

    def score(self, candidate: Candidate) -> float:
        """Return the mean over domains of the mean score on the rows known so far; 0 if there are none."""
        means = [
            fmean(case.score for case in cases)
            for name in self.problem.judge
            if (cases := self.judged(candidate, name))
        ]
        return fmean(means) if means else 0.0

    def propose(self, how: str, parent: Candidate, variables: Mapping[str, Any]) -> Candidate | None:
        """Let the reflecting model rewrite a prompt; return None if what it wrote cannot be used.

        Args:
            how: A prompt in `prompts/optimise/`.
            parent: The candidate to rewrite.
            variables: The variables of that prompt, besides `prompt` and `goal`.
        """
        answer = self.reflect(how, parent, variables)
        try:
            if answer is None:
                raise NotAPrompt(NO_ANSWER)
            parts = self.problem.read(answer)
            if any(parts == one.parts for one in self.candidates):
                raise NotAPrompt(SEEN)
        except NotAPrompt as fault:
            self.rejected[fault.kind] += 1
            return None
        self.candidates.append(Candidate(len(self.candidates), parts, parent.number, how))
        return self.candidates[-1]

    def reflect(self, how: str, parent: Candidate, variables: Mapping[str, Any]) -> str | None:
        """Ask the reflecting model about a prompt; the same question again is a further attempt."""
        shown = {"prompt": as_text(parent.parts), "goal": self.problem.goal, **variables}
        question = repr((how, sorted(shown.items())))
        self._attempts[question] += 1
        return self.problem.reflect(how, shown, self._attempts[question] - 1)

    def promising(self) -> list[Candidate]:
        """Return all candidates, the one with the best cautious score first."""
        return sorted(self.candidates, key=lambda one: (-self.cautious(one), one.number))

    def cautious(self, candidate: Candidate) -> float:
        """Return the score less what chance may have added: half a unit over the root of the number of rows."""
        rows = len(self.judged(candidate))
        return self.score(candidate) - 0.5 / rows**0.5 if rows else float("-inf")


@dataclass(frozen=True)
class Found:
    """The result of a search."""

    search: Search
    """All candidates with their scores."""
    best: Candidate
    """The chosen one; the first prompt if none is better."""
    stopped: str
    """Why the search ended early; empty if it did not."""


def run_search(optimiser: Optimiser[O], problem: Problem, options: O, seed: int) -> Found:
    """Search for a better prompt, then compare the most promising ones on all rows.

    Args:
        optimiser: The optimiser.
        problem: The prompt to improve, and whom to ask.
        options: The optimiser's options.
        seed: Seed of everything that is drawn.

    Returns:
        The candidates and the chosen one. A budget that is spent is not an error: the best one so far is chosen.
    """
    search, stopped = Search(problem, random.Random(seed)), ""
    try:
        named = optimiser.run(search, options)
        for finalist in dict.fromkeys([search.first, *named[:FINALISTS]]):
            search.judge(finalist)
    except BudgetReached as reached:
        stopped = str(reached).partition("\n")[0]
    return Found(search, search.promising()[0] if search.judged(search.first) else search.first, stopped)


def told(cases: Sequence[Case]) -> str:
    """Write cases as a reflecting model is shown them."""
    if not cases:
        return "none"
    form = "Input {0}:\n{1.shown}\nAnswer {0}: {1.said}\nFeedback {0}: {1.wrong}"
    return "\n\n".join(form.format(number, case) for number, case in enumerate(cases, 1))
