"""Greedy: the control of the optimisers. It trusts six rows, as one who tries a prompt by hand does.

Paper:     none; a control.
Idea:      rewrite the present prompt; keep the new one if it is not worse on six rows.
Consumes:  answers about six rows by both prompts in each round.
Produces:  one candidate per round.
Cost:      one rewrite and twelve answers per round.
Relations: what recprompt, po4isr and gepa add is that rows for comparison decide.
Example:   knowflow prompts optimise rank_candidates --method greedy --budget 300k-tokens
"""

from collections.abc import Sequence

from base.frozen import Frozen
from tuning.optimiser import Candidate, Optimiser
from tuning.search import Search, told


class GreedyOptions(Frozen):
    """Options of greedy."""

    batch: int = 6
    """Rows that decide."""


def trust_few_rows(search: Search, options: GreedyOptions) -> Sequence[Candidate]:
    """Replace the present prompt whenever few rows say so."""
    present = search.first
    while search.open:
        rows = search.draw(options.batch)
        before = search.answer(present, rows)
        new = search.propose("gepa_reflect", present, {"cases": told(before)})
        if new is not None and total(search, new, rows) >= total(search, present, rows):
            present = new
    return [present]


def total(search: Search, candidate: Candidate, rows: Sequence[str]) -> float:
    """Add the scores of some rows."""
    return sum(case.score for case in search.answer(candidate, rows))


GREEDY = Optimiser("greedy", "keeps what wins on six rows", GreedyOptions, trust_few_rows)
