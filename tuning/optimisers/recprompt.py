"""RecPrompt: a model rewrites a prompt from answers that were good and bad; a monitor keeps the best prompt.

Paper:     Liu et al. 2024, "RecPrompt: A Self-tuning Prompting Framework for News Recommendation" (arXiv 2312.10463).
Idea:      one model recommends, another one reads samples of good and bad recommendations and rewrites the prompt.
Consumes:  answers about `batch` rows in each round, of which `samples` good and `samples` bad ones are shown.
Produces:  one candidate per round, rewritten from the best prompt so far.
Cost:      `rounds` rewrites; per round `batch` answers by the best prompt and one for every row of comparison.
Relations: the monitor (MRR, NDCG@k and TopicScore for rankings) is the objective; po4isr keeps several prompts.
Example:   knowflow prompts optimise rank_candidates --method recprompt --budget 200k-tokens
"""

from collections.abc import Sequence

from pydantic import Field

from base.frozen import Frozen
from tuning.optimiser import Candidate, Optimiser
from tuning.search import Search, told


class RecPromptOptions(Frozen):
    """Options of recprompt."""

    rounds: int = Field(default=30, ge=1)
    """How many rewrites to try, at most."""
    batch: int = Field(default=12, ge=2)
    """Rows answered in each round, to find good and bad answers."""
    samples: int = Field(default=3, ge=1)
    """How many good and how many bad answers the reflecting model is shown."""


def search_greedily(search: Search, options: RecPromptOptions) -> Sequence[Candidate]:
    """Rewrite the best prompt in every round; a rewritten one replaces it if it scores higher on all rows."""
    best = search.first
    search.judge(best)
    for _ in range(options.rounds):
        if not search.open:
            break
        cases = sorted(search.answer(best, search.draw(options.batch)), key=lambda case: case.score)
        half = min(options.samples, len(cases) // 2)
        shown = {"good": told(cases[len(cases) - half :][::-1]), "bad": told(cases[:half])}
        new = search.propose("recprompt_refine", best, shown)
        if new is not None and search.judge(new) > search.score(best):
            best = new
    return search.promising()


RECPROMPT = Optimiser(
    "recprompt",
    "rewrites the best prompt from good and bad answers; a monitor keeps the best",
    RecPromptOptions,
    search_greedily,
)
