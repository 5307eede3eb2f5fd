"""Spelling correction against the words of the documents: what can be had without a language model.

Source: Garbe 2012, "SymSpell: symmetric delete spelling correction". Two words within distance d of each other share a
form that comes of deleting at most d letters of either, so candidates are looked up and never searched for. Of the
nearest candidates the one in most documents wins (Norvig 2007, "How to Write a Spelling Corrector").
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import combinations

from retrieval.search import words_of

SHORTEST, LONG = 4, 8
"""Letters from which on a word is corrected by one edit, and by two."""


class Spelling:
    """Corrects queries.

    Args:
        texts: Documents whose words are right.

    Example:
        >>> Spelling(["The Terminator", "Science fiction"]).correct("sciense fiction termintaor (1984)")
        'science fiction terminator 1984'
    """

    def __init__(self, texts: Sequence[str]) -> None:
        self._documents = Counter(word for text in texts for word in set(words_of(text)))
        self._longest = max(map(len, self._documents), default=0)
        self._forms: dict[str, list[str]] = {}
        for word in sorted(self._documents):
            # A word can be two letters shorter than the wrong one, and is still two edits away.
            for form in _deleted(word, 2 if len(word) >= LONG - 2 else 1) if word.isalpha() else ():
                self._forms.setdefault(form, []).append(word)

    def correct(self, query: str) -> str:
        """Replace every word that no document holds by the likeliest one that some do; others stay."""
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
        told = [(distance(word, near), -self._documents[near], near) for near in candidates]
        return min((one for one in told if one[0] <= most), default=(0, 0, word))[2]


def _deleted(word: str, most: int) -> Iterator[str]:
    """All forms of a word that lack at most so many of its letters."""
    for number in range(min(most, len(word) - 1) + 1):
        for kept in combinations(range(len(word)), len(word) - number):
            yield "".join(word[place] for place in kept)


def distance(one: str, other: str) -> int:
    """Edits from one word to the other: a letter put in, left out, changed, or swapped with its neighbour.

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
