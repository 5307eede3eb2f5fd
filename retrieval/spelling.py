"""Spelling correction with the words of the documents, without a language model.

Source: Garbe 2012, "SymSpell: symmetric delete spelling correction". Two words within distance d of each other share a
form that results from deleting at most d letters of either, so candidates come from a lookup, not a search. Of the
nearest candidates the one in most documents wins (Norvig 2007, "How to Write a Spelling Corrector").
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import combinations

from retrieval.search import words_of

SHORTEST, LONG = 4, 8
"""Minimum letters of a word to correct it by one edit, and by two."""


class Spelling:
    """Corrects queries.

    Args:
        texts: Documents whose words are correct.

    Example:
        >>> Spelling(["The Terminator", "Science fiction"]).correct("sciense fiction termintaor (1984)")
        'science fiction terminator 1984'
    """

    def __init__(self, texts: Sequence[str]) -> None:
        self._documents = Counter(word for text in texts for word in set(words_of(text)))
        self._longest = max(map(len, self._documents), default=0)
        self._forms: dict[str, list[str]] = {}
        for word in sorted(self._documents):
            # A word that is two letters shorter than the misspelled one is still two edits away.
            for form in _deleted(word, 2 if len(word) >= LONG - 2 else 1) if word.isalpha() else ():
                self._forms.setdefault(form, []).append(word)

    def correct(self, query: str) -> str:
        """Replace every word that is in no document by the most likely one that is; keep the others."""
        words = words_of(query)
        right = [self._nearest(word) for word in words]
        return query if right == words else " ".join(right)

    def _nearest(self, word: str) -> str:
        if word in self._documents or len(word) < SHORTEST or not word.isalpha():
            return word
        most = 2 if len(word) >= LONG else 1
        if len(word) > self._longest + most:  # no word is near, and one of 900 letters has 400,000 forms
            return word
        candidates = {near for form in _deleted(word, most) for near in self._forms.get(form, ())}
        measured = [(distance(word, near), -self._documents[near], near) for near in candidates]
        return min((one for one in measured if one[0] <= most), default=(0, 0, word))[2]


def _deleted(word: str, most: int) -> Iterator[str]:
    """Yield all forms of a word with at most `most` of its letters deleted."""
    for number in range(min(most, len(word) - 1) + 1):
        for kept in combinations(range(len(word)), len(word) - number):
            yield "".join(word[place] for place in kept)


def distance(one: str, other: str) -> int:
    """Count the edits from one word to the other: insert, delete or change a letter, or swap two neighbours.

    Example:
        >>> distance("termintaor", "terminator"), distance("kitten", "sitting"), distance("", "ab")
        (1, 3, 2)
    """
    before, row = [], list(range(len(other) + 1))
    for i, letter in enumerate(one, 1):
        last, before, row = before, row, [i]
        for j, wanted in enumerate(other, 1):
            edits = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (letter != wanted))
            if i > 1 and j > 1 and letter == other[j - 2] and one[i - 2] == wanted:
                edits = min(edits, last[j - 2] + 1)
            row.append(edits)
    return row[-1]
