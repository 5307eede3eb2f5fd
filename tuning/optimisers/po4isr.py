"""PO4ISR: reasons for bad answers lead to refined and reworded prompts, a bandit keeps the best, domains decide.

Paper:     Sun et al. 2024, "Large Language Models for Intent-Driven Session Recommendations" (SIGIR, arXiv 2312.07552).
Idea:      collect errors, let a model infer their reasons, refine the prompt, reword it, spend answers on promising
           prompts by UCB; the best prompt of each domain is then compared in all domains.
Formula:   UCB1 over the prompts of a domain: mean score + breadth * sqrt(2 ln t / n), with n of t answers.
Consumes:  answers about `batch` rows per prompt; at most `errors` with a score below `good` are shown.
Produces:  per prompt of the beam one refined candidate and `rewordings` reworded ones, in every round and domain.
Cost:      per prompt of a beam 2 + `rewordings` reflections, and `pulls` x `step` answers per round and domain.
Relations: recprompt keeps one prompt; gepa keeps all that are best for some row.
Example:   knowflow prompts optimise rank_candidates --method po4isr --budget 200k-tokens
"""

from collections.abc import Sequence
from statistics import fmean

from pydantic import Field

from base.frozen import Frozen
from tuning.bandit import upper_bounds
from tuning.optimiser import Candidate, Optimiser
from tuning.search import Search, told


class Po4isrOptions(Frozen):
    """Options of po4isr."""

    rounds: int = Field(default=30, ge=1)
    """How often every prompt of every beam is refined."""
    beam: int = Field(default=2, ge=1)
    """How many prompts a domain keeps after a round."""
    batch: int = Field(default=8, ge=1)
    """Rows answered to collect errors of a prompt."""
    errors: int = Field(default=4, ge=1)
    """How many errors the reflecting model is shown, at most."""
    good: float = Field(default=0.6, gt=0, le=1)
    """An answer with a lower score is an error."""
    rewordings: int = Field(default=1, ge=0)
    """How many reworded copies of a refined prompt to try."""
    pulls: int = Field(default=8, ge=1)
    """How often the bandit chooses a prompt in a round of a domain."""
    step: int = Field(default=4, ge=1)
    """How many rows a chosen prompt answers."""
    breadth: float = Field(default=0.3, ge=0)
    """How much the bandit explores."""


def search_domains(search: Search, options: Po4isrOptions) -> Sequence[Candidate]:
    """Keep a beam of prompts for each domain; the best of each domain are compared in all domains."""
    beams = {domain: [search.first] for domain in search.problem.judge}
    for _ in range(options.rounds):
        for domain, beam in beams.items():
            if not search.open:
                break
            arms = [*beam, *(new for prompt in beam for new in refined(search, prompt, domain, options))]
            pull(search, arms, domain, options)
            beams[domain] = sorted(arms, key=lambda arm: -_mean(search, arm, domain))[: options.beam]
    # By place first: the best of every domain, then the second of every domain.
    return [beam[place] for place in range(options.beam) for beam in beams.values() if place < len(beam)]


def refined(search: Search, prompt: Candidate, domain: str, options: Po4isrOptions) -> list[Candidate]:
    """Return a refined prompt and its rewordings; none if there are no errors or nothing usable was written."""
    cases = search.answer(prompt, search.draw(options.batch, domain))
    errors = sorted((case for case in cases if case.score < options.good), key=lambda case: case.score)
    if not errors:
        return []
    reasons = search.reflect("po4isr_reasons", prompt, {"bad": told(errors[: options.errors])})
    new = search.propose("po4isr_refine", prompt, {"reasons": reasons or "none were found"})
    if new is None:
        return []
    reworded = [search.propose("po4isr_augment", new, {}) for _ in range(options.rewordings)]
    return [new, *(one for one in reworded if one is not None)]


def pull(search: Search, arms: Sequence[Candidate], domain: str, options: Po4isrOptions) -> None:
    """Let the bandit spend answers of a round; an arm that has answered all rows of the domain is known."""
    rows = search.problem.judge[domain]
    for _ in range(options.pulls):
        pulls = [len(search.judged(arm, domain)) for arm in arms]
        bounds = upper_bounds([_mean(search, arm, domain) for arm in arms], pulls, options.breadth)
        waiting = [place for place, n in enumerate(pulls) if n < len(rows)]
        if not waiting:
            return
        chosen = max(waiting, key=lambda place: (bounds[place], -place))
        # The same order of rows for every arm, so that arms are compared on the same rows.
        search.answer(arms[chosen], rows[: pulls[chosen] + options.step])


def _mean(search: Search, arm: Candidate, domain: str) -> float:
    cases = search.judged(arm, domain)
    return fmean(case.score for case in cases) if cases else 0.0


PO4ISR = Optimiser(
    "po4isr",
    "reasons for errors, refined and reworded prompts, UCB, and a choice across domains",
    Po4isrOptions,
    search_domains,
)
