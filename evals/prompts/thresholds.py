"""Bounds that a version must keep, so that a pull request with a worse prompt fails."""

import math
from collections.abc import Collection, Mapping, Sequence

from base.faults import WrongUse
from evals.prompts.tables import value_text
from evals.trial import Measured

NAMES = (
    "probe",
    "retrieval",
    "auc",
    "gauc",
    "memorised",
    "judge",
    "judge_swapped",
    "judge_again",
    "judge_first",
    "parse_failures",
    "cut_offs",
    "refusals",
    "words",
    "coverage",
    "distinct_2",
    "shared_text",
    "grounded",
    "from_the_future",
    "redundancy",
    "novelty",
    "agreement",
    "input_tokens",
    "output_tokens",
    "cost",
    "cost_of_all",
    "tokens_of_all",
    "seconds_of_all",
)
"""All measures; which of them a trial has depends on the data and the options."""


def read_bounds(option: str, said: Sequence[str], names: Collection[str] = NAMES) -> dict[str, float]:
    """Read bounds such as `probe=0.35`.

    Args:
        option: The option that they were given with, for messages.
        said: The bounds.
        names: The measures there are.

    Raises:
        WrongUse: One is no bound, or names no measure; the text lists the measures.

    Example:
        >>> read_bounds("--fail-under", ["probe=0.35"])
        {'probe': 0.35}
    """
    bounds: dict[str, float] = {}
    for one in said:
        name, _, value = one.partition("=")
        if name not in names:
            raise WrongUse(f"{option} {one}: '{name}' is no measure\n  there are: {', '.join(names)}")
        try:
            bounds[name] = float(value)
        except ValueError:
            bounds[name] = math.nan
        if not math.isfinite(bounds[name]):  # every comparison with NaN is false, so it would let anything pass
            raise WrongUse(f"{option} {one}: '{value}' is no number\n  give one such as {name}=0.35")
    return bounds


def broken_bounds(
    measured: Sequence[Measured], version: str, least: Mapping[str, float], most: Mapping[str, float]
) -> list[str]:
    """Return a sentence for each bound that a version does not keep; a number that could not be taken keeps none.

    Args:
        measured: The measures.
        version: The version that is held to them.
        least: Measure -> its least value.
        most: Measure -> its greatest value.
    """
    by_name = {one.name: one for one in measured}
    told: list[str] = []
    for bounds, side in ((least, "below"), (most, "above")):
        for name, bound in bounds.items():
            figure = by_name[name].figures.get(version) if name in by_name else None
            if figure is None or figure.mean is None:
                why = figure.why if figure is not None else "this trial does not have it"
                told.append(f"{version}: {name} was not measured: {why}")
            elif figure.mean < bound if side == "below" else figure.mean > bound:
                told.append(f"{version}: {name} is {value_text(figure.mean)}, {side} {bound:g}")
    return told
