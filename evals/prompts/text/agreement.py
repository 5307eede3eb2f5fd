"""Agreement: how alike several sampled answers to the same question are."""

from collections.abc import Mapping, Sequence
from itertools import combinations

from evals.prompts.intervals import mean_of_rows, measured_by_row
from evals.prompts.text.words import content_words
from evals.trial import Figure, Measured, Trial

Repeats = Mapping[str, Sequence[Sequence[str | None]]]
"""Version -> for each row, the texts of its repeated answers."""


def agreement(trial: Trial, repeats: Repeats, why_not: Mapping[str, str], seed: int = 0) -> Measured:
    """Mean likeness of two answers to the same question: the share of their content words that both have.

    Args:
        trial: The trial.
        repeats: The answers of versions that were asked several times.
        why_not: Version -> why it was asked only once.
        seed: Seed of the intervals.
    """
    about = "Likeness of repeated answers to the same question: content words that both have, of those either has."
    rows: dict[str, Sequence[float | None]] = {
        version: [likeness(several) for several in repeats[version]] for version in repeats
    }
    made = measured_by_row("agreement", about, "higher", rows, seed=seed)
    figures = {v: made.figures.get(v) or Figure(None, why=why_not.get(v, "asked once")) for v in trial.versions}
    return Measured(made.name, made.about, made.kind, made.better, figures, made.against, made.by_row)


def likeness(texts: Sequence[str | None]) -> float | None:
    """Return the mean Jaccard similarity of the content words of all pairs of texts.

    Example:
        >>> likeness(["a warm film", "warm, slow film", "warm film"])
        0.7777777777777777
    """
    sets = [set(content_words(text)) for text in texts if text is not None]
    pairs = [len(one & other) / len(one | other) for one, other in combinations(sets, 2) if one | other]
    return mean_of_rows(pairs).mean
