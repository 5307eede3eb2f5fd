"""GEPA: reflective mutation of prompts that are the best for some row, accepted on a minibatch.

Paper:     Agrawal et al. 2025, "GEPA: Reflective Prompt Evolution Can Outperform Reinforcement Learning" (2507.19457).
Idea:      every prompt that is best for some row has found out something; the one to rewrite is drawn among these.
Formula:   for every row of comparison the candidates with its best score; candidates that are nowhere best on their own
           and dominated by others are dropped; the others are drawn in proportion to the number of such rows.
Consumes:  feedback in words on the answers about `batch` rows.
Produces:  one candidate per round; it joins the pool if it beats its parent on the same batch.
Cost:      per round one rewrite and two batches of answers; for an accepted one, an answer for every row of comparison.
Relations: recprompt rewrites only the best on average. The paper's merge of two prompts joins modules of a program,
           which a single prompt does not have; it is left out.
Example:   knowflow prompts optimise rank_candidates --method gepa --budget 200k-tokens
"""

from collections.abc import Mapping, Sequence

from pydantic import Field

from base.frozen import Frozen
from tuning.optimiser import Candidate, Optimiser
from tuning.search import Search, told


class GepaOptions(Frozen):
    """Options of gepa."""

    rounds: int = Field(default=30, ge=1)
    """How many rewrites to try, at most."""
    batch: int = Field(default=8, ge=1)
    """Rows on which a rewritten prompt must beat its parent."""
    shown: int = Field(default=4, ge=1)
    """How many of their answers the reflecting model is shown, the worst first."""


def evolve(search: Search, options: GepaOptions) -> Sequence[Candidate]:
    """Rewrite a prompt of the front in every round."""
    pool = [search.first]
    search.judge(search.first)
    for _ in range(options.rounds):
        if not search.open:
            break
        wins = front({one.number: {case.row: case.score for case in search.judged(one)} for one in pool})
        numbers = sorted(wins)
        parent = search.candidates[search.rng.choices(numbers, [wins[number] for number in numbers])[0]]
        rows = search.draw(options.batch)
        before = sorted(search.answer(parent, rows), key=lambda case: case.score)
        new = search.propose("gepa_reflect", parent, {"cases": told(before[: options.shown])})
        if new is None:
            continue
        after = search.answer(new, rows)
        if sum(case.score for case in after) > sum(case.score for case in before):
            search.judge(new)
            pool.append(new)
    return search.promising()


def front(scores: Mapping[int, Mapping[str, float]]) -> dict[int, int]:
    """Return the candidates of the front with the number of rows for which each is the best.

    Args:
        scores: Candidate -> row -> score; all candidates have the same rows.

    Example:
        >>> front({0: {"a": 1, "b": 0}, 1: {"a": 0, "b": 1}, 2: {"a": 1, "b": 0.5}, 3: {"a": 0, "b": 0}})
        {1: 1, 2: 1}
    """
    rows = next(iter(scores.values()))
    tops = {row: max(of[row] for of in scores.values()) for row in rows}
    best = {row: {number for number, of in scores.items() if of[row] == tops[row]} for row in rows}
    kept = set().union(*best.values())
    for number in sorted(kept, key=lambda one: (sum(scores[one].values()), one)):  # the weakest goes first
        if all(of & (kept - {number}) for of in best.values() if number in of):
            kept -= {number}
    return {number: sum(number in of for of in best.values()) for number in sorted(kept)}


GEPA = Optimiser(
    "gepa", "rewrites prompts that are the best for some row; a batch accepts, all rows decide", GepaOptions, evolve
)
