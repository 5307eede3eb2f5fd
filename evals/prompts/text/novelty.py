"""What a text adds: how much of it the prompt had shown, and how much the catalogue does not say."""

from collections.abc import Mapping
from typing import Any

from evals.prompts.intervals import measured_by_row
from evals.prompts.text.background import Background
from evals.prompts.text.words import content_words, grams, share, words_of
from evals.trial import Measured, Trial


def redundancy(trial: Trial, seed: int = 0) -> Measured:
    """Share of a text's word pairs that the prompt had shown."""
    about = "Share of a text's word pairs that stand in what the prompt showed of the row."
    shown = [shown_text(row.variables) for row in trial.rows]
    rows = {
        version: [None if text is None else repeated(text, what) for text, what in zip(texts, shown, strict=True)]
        for version in trial.versions
        for texts in [trial.texts(version)]
    }
    return measured_by_row("redundancy", about, "lower", rows, seed=seed)


def novelty(trial: Trial, background: Background, seed: int = 0) -> list[Measured]:
    """Share of a text's content words that the catalogue's facts do not have; nothing where there are no facts."""
    facts = [background.facts.get(row.entity) for row in trial.rows]
    if all(fact is None for fact in facts):
        return []
    about = "Share of a text's content words that the facts of the catalogue do not have."
    rows = {
        version: [None if None in (text, fact) else new_words(str(text), str(fact)) for text, fact in pairs]
        for version in trial.versions
        for pairs in [list(zip(trial.texts(version), facts, strict=True))]
    }
    return [measured_by_row("novelty", about, "higher", rows, seed=seed)]


def shown_text(variables: Mapping[str, Any]) -> str:
    """Return what a prompt showed of a row, as one text."""
    return " ".join(str(value) for value in variables.values())


def repeated(text: str, shown: str) -> float | None:
    """Return the share of a text's word pairs that stand in another text.

    Example:
        >>> repeated("Heat is a crime film", "Heat (1995) crime film")
        0.25
    """
    pairs, known = grams(words_of(text), 2), set(grams(words_of(shown), 2))
    return share(sum(pair in known for pair in pairs), len(pairs))


def new_words(text: str, facts: str) -> float | None:
    """Return the share of a text's different content words that the facts do not have.

    Example:
        >>> new_words("A crime saga by Mann", "Heat (1995) crime")
        0.6666666666666666
    """
    said, known = set(content_words(text)), set(words_of(facts))
    return share(len(said - known), len(said))
