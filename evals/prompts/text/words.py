"""Words of a text, for measures that count them."""

import re
from collections.abc import Sequence

from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")


def words_of(text: str) -> list[str]:
    """Return the words of a text in lower case.

    Example:
        >>> words_of("Heat: a cop's tale, 1995")
        ['heat', 'a', "cop's", 'tale', '1995']
    """
    return WORD.findall(text.lower())


def content_words(text: str) -> list[str]:
    """Return the words that say something: no stop words, no single letters.

    Example:
        >>> content_words("It is a tale of two cities")
        ['tale', 'cities']
    """
    return [word for word in words_of(text) if len(word) > 1 and word not in ENGLISH_STOP_WORDS]


def grams(words: Sequence[str], length: int) -> list[tuple[str, ...]]:
    """Return all sequences of so many neighbouring words.

    Example:
        >>> grams(["a", "b", "c"], 2)
        [('a', 'b'), ('b', 'c')]
    """
    return [tuple(words[place : place + length]) for place in range(len(words) - length + 1)]


def share(part: int, whole: int) -> float | None:
    """Return a share; None of nothing."""
    return part / whole if whole else None
