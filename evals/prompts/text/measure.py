"""All measures of the texts of a trial."""

from evals.prompts.text.background import Background
from evals.prompts.text.coverage import coverage
from evals.prompts.text.form import cut_offs, length, parse_failures, refusals
from evals.prompts.text.grounding import grounding
from evals.prompts.text.novelty import novelty, redundancy
from evals.prompts.text.specificity import distinct, shared
from evals.trial import Measured, Trial


def measure_text(trial: Trial, background: Background, seed: int = 0) -> list[Measured]:
    """Measure the texts of all versions.

    Args:
        trial: The trial.
        background: What the measures know besides it.
        seed: Seed of the intervals.
    """
    return [
        parse_failures(trial, seed),
        cut_offs(trial, seed),
        refusals(trial, seed),
        length(trial, seed),
        coverage(trial, background, seed),
        distinct(trial),
        shared(trial, seed),
        *grounding(trial, background, seed),
        redundancy(trial, seed),
        *novelty(trial, background, seed),
    ]
