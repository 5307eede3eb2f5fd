"""The language of an answer, by its most frequent small words; elsewhere by its letters.

A language is told by the share of a text's words that are among the words it cannot do without (the, und, pas, ...).
Lists of such words come with bm25s; a detector with a model of its own would be one more dependency, of several
megabytes. Languages without spaces, or without a list, are told by their letters.
"""

import re
from collections import Counter
from functools import cache

from bm25s import stopwords

SMALL_WORDS = {
    "English": stopwords.STOPWORDS_EN_PLUS,
    "German": stopwords.STOPWORDS_GERMAN,
    "Dutch": stopwords.STOPWORDS_DUTCH,
    "French": stopwords.STOPWORDS_FRENCH,
    "Spanish": stopwords.STOPWORDS_SPANISH,
    "Portuguese": stopwords.STOPWORDS_PORTUGUESE,
    "Italian": stopwords.STOPWORDS_ITALIAN,
    "Swedish": stopwords.STOPWORDS_SWEDISH,
    "Norwegian": stopwords.STOPWORDS_NORWEGIAN,
    "Danish": stopwords.STOPWORDS_DANISH,
    "Turkish": stopwords.STOPWORDS_TURKISH,
    "Russian": stopwords.STOPWORDS_RUSSIAN,
}
SCRIPTS = {
    "Japanese": "[\u3040-\u30ff]",
    "Chinese": "[\u4e00-\u9fff]",
    "Korean": "[\uac00-\ud7af]",
    "Greek": "[\u0370-\u03ff]",
    "Arabic": "[\u0600-\u06ff]",
    "Hebrew": "[\u0590-\u05ff]",
    "Hindi": "[\u0900-\u097f]",
    "Thai": "[\u0e00-\u0e7f]",
}
"""Languages told by their letters."""
LETTERS = re.compile("|".join(f"({letters})" for letters in SCRIPTS.values()))
WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)?")
LEAST_WORDS = 8
"""A shorter text, such as a category, says nothing about its language."""
LEAST_SHARE = 0.12
"""Share of small words that a text of a language has at least; a list of names has fewer."""
UNKNOWN = "none known here"
LEAST_DISTINCT = 3
"""Fewer different small words may be a chance: `do` is one in English and in Polish, which has no list here."""
LEAD = 1.25
"""How much larger than that of the second language the share must be: Danish and Norwegian differ by little."""


@cache
def _languages() -> dict[str, tuple[str, ...]]:
    """Return each small word with the languages it belongs to."""
    found: dict[str, list[str]] = {}
    for language, words in SMALL_WORDS.items():
        for word in words:
            if len(word) > 1:  # single letters are words of many languages
                found.setdefault(word.casefold(), []).append(language)
    return {word: tuple(languages) for word, languages in found.items()}


def language_of(text: str) -> str | None:
    """Return the name of a text's language, or `UNKNOWN`; None if it has too few words to tell.

    Example:
        >>> language_of("A warm film about two friends who want to rob the bank of a small town.")
        'English'
        >>> language_of("Ein Film über zwei Freunde, die eine Bank in der Stadt ausrauben wollen.")
        'German'
        >>> language_of("Crime, Drama, Heat (1995)") is None
        True
        >>> language_of("Heat; Alien; Fargo; Seven; Up; Cube; Her; Big; Jaws")
        'none known here'
    """
    letters = LETTERS.findall(text)
    if len(letters) > len(text.split()):  # about a word's worth of letters for each blank
        found = Counter(next(place for place, one in enumerate(groups) if one) for groups in letters)
        name = list(SCRIPTS)[found.most_common(1)[0][0]]
        # Kanji are Chinese characters: any share of kana makes a text Japanese.
        return "Japanese" if name == "Chinese" and found[0] > len(letters) / 20 else name
    words = WORD.findall(text.casefold())
    if len(words) < LEAST_WORDS:
        return None
    known = _languages()
    counts = Counter(language for word in words for language in known.get(word, ()))
    (best, most), (_, second) = [*counts.most_common(2), ("", 0), ("", 0)][:2]
    distinct = len({word for word in words if best in known.get(word, ())})
    sure = most >= LEAST_SHARE * len(words) and most >= LEAD * second and distinct >= LEAST_DISTINCT
    return best if sure else UNKNOWN
