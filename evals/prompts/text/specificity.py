"""Specificity: whether texts say something of their own, or the same of everybody.

Source: distinct-n after Li et al. 2016, "A Diversity-Promoting Objective Function for Neural Conversation Models".
"""

from collections import Counter
from collections.abc import Sequence

from evals.prompts.intervals import measured_by_row
from evals.prompts.text.words import grams, share, words_of
from evals.trial import Figure, Measured, Trial

NO_INTERVAL = "a number of the whole sample: resampled rows would repeat their own words"


def distinct(trial: Trial) -> Measured:
    """Distinct-2: the share of all word pairs of the sample that are distinct."""
    about = "Share of the word pairs of all texts of the sample that are distinct (distinct-2)."
    figures = {version: _distinct(trial.texts(version)) for version in trial.versions}
    return Measured("distinct_2", about, "text", "higher", figures)


def _distinct(texts: Sequence[str | None]) -> Figure:
    pairs = [pair for text in texts if text is not None for pair in grams(words_of(text), 2)]
    value = share(len(set(pairs)), len(pairs))
    rows = sum(text is not None for text in texts)
    return Figure(value, rows=rows, why=NO_INTERVAL if pairs else "no text has two words")


def shared(trial: Trial, seed: int = 0) -> Measured:
    """Share of a text's sequences of four words that stand in texts of other rows too."""
    about = "Share of a text's sequences of four words that stand in the texts of other rows too."
    rows = {version: shared_shares(trial.texts(version)) for version in trial.versions}
    return measured_by_row("shared_text", about, "lower", rows, seed=seed)


def shared_shares(texts: Sequence[str | None]) -> list[float | None]:
    """Return for each text the share of its sequences of four words that another text has too.

    Example:
        >>> shared_shares(["a b c d e", "x a b c d", None, "short"])
        [0.5, 0.5, None, None]
    """
    each = [None if text is None else grams(words_of(text), 4) for text in texts]
    holders = Counter(gram for one in each if one is not None for gram in set(one))
    return [None if one is None else share(sum(holders[gram] > 1 for gram in one), len(one)) for one in each]
