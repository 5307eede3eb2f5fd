"""Coverage: how much of what the prompt asks for an answer gives."""

from collections.abc import Collection
from math import ceil
from typing import Any

from evals.prompts.intervals import measured_by_row
from evals.prompts.text.background import Background
from evals.prompts.text.words import content_words
from evals.trial import Measured, Trial, TrialAnswer

ABOUT = (
    "Share of what the prompt asks for: of an object, the fields that are filled; of a text, the aspects of the domain "
    "of which it uses a word, which misses a director who is named without the word."
)
OTHER_FORM = "one version answers with fields and the other with a text: their coverage is not counted alike"
EMPTY = (None, "", [], {})


def coverage(trial: Trial, background: Background, seed: int = 0) -> Measured:
    """Share of the requested fields or aspects that an answer covers."""
    rows = {
        version: [_covered(one, version, background) for one in trial.answers[version]] for version in trial.versions
    }

    def comparable(one: str, other: str) -> str:
        return "" if (one in background.objects) == (other in background.objects) else OTHER_FORM

    return measured_by_row("coverage", ABOUT, "higher", rows, comparable=comparable, seed=seed)


def _covered(answer: TrialAnswer, version: str, background: Background) -> float | None:
    asked = background.asked.get(version, ())
    if answer.text is None or not asked:
        return None
    if version in background.objects:
        return filled(answer.fields, asked)
    return mentioned(answer.text, asked)


def filled(fields: Any, asked: Collection[str]) -> float:
    """Return the share of the fields that hold something.

    Example:
        >>> filled({"director": "Jane Doe", "cast": []}, ["director", "cast"])
        0.5
    """
    there = fields if isinstance(fields, dict) else {}
    return sum(there.get(name) not in EMPTY for name in asked) / len(asked)


def mentioned(text: str, aspects: Collection[str]) -> float:
    """Return the share of the aspects of which a text uses a word, whatever its ending.

    Example:
        >>> mentioned("Directed by Jane Doe, a moody tale.", ["director", "mood and tone", "main cast"])
        0.6666666666666666
    """
    said = set(content_words(text))
    used = [any(_akin(word, one) for word in content_words(aspect) for one in said) for aspect in aspects]
    return sum(used) / len(aspects)


def _akin(word: str, other: str) -> bool:
    """Return whether two words begin alike, as directed and director do, but not cast and castle."""
    least = max(4, ceil(0.7 * max(len(word), len(other))))
    return min(len(word), len(other)) >= least and word[:least] == other[:least]
