"""Find the items of a catalogue that a text names by their titles."""

import re
from collections.abc import Iterable, Mapping
from itertools import combinations

WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
ASIDE = re.compile(r"\s*\([^()]*\)\s*$")
"""What stands in brackets at the end of a name: a year, or a title in another language."""
LONGEST = 14
"""Words of the longest title that is looked for."""
RATINGS = frozenset("12345")
YEAR = re.compile(r"(1[89]|20)\d\d")


class Titles:
    """Finds titles as they are written, capitals included; the longest one at a place wins.

    A title of one word, such as Heat or It, counts only if its year follows or if it is expected, as one of the row's
    own history is; anywhere else it may be just a word. A title that stands within an expected one, as Star Trek
    does, may be a series or a short form: it gives that one too. A number after an expected title is its rating, as in
    The Jungle Book 2.

    Args:
        names: Item -> its names: the title, and the name as a history shows it.
    """

    def __init__(self, names: Mapping[str, Iterable[str]]) -> None:
        self._items: dict[tuple[str, ...], set[str]] = {}
        self._within: dict[tuple[str, ...], set[str]] = {}
        for item, several in names.items():
            for name in several:
                for form in _forms(name):
                    words = tuple(WORD.findall(form))
                    if words and len(words) <= LONGEST:
                        self._items.setdefault(words, set()).add(item)
                        for begin, end in combinations(range(len(words) + 1), 2):
                            if 2 <= end - begin < len(words):
                                self._within.setdefault(words[begin:end], set()).add(item)

    def named(self, text: str, expected: frozenset[str] = frozenset()) -> list[frozenset[str]]:
        """Return the items of every title that a text names; a title that several items share gives all of them.

        Example:
            >>> titles = Titles({"1": ["Heat (1995)"], "2": ["The Big Heat (1953)"], "3": ["Fargo (1996)"]})
            >>> [sorted(one) for one in titles.named("Likes The Big Heat and Fargo (1996); Heat?")]
            [['2'], ['3']]
        """
        words, found, place = WORD.findall(text), [], 0
        while place < len(words):
            length = next((n for n in range(LONGEST, 0, -1) if self._counts(words, place, n, expected)), 0)
            if length > 1 and words[place + length - 1] in RATINGS:
                length -= self._counts(words, place, length - 1, expected, rated=True)
            if length:
                title = tuple(words[place : place + length])
                found.append(frozenset(self._items[title] | (self._within.get(title, set()) & expected)))
            place += length or 1
        return found

    def _counts(
        self, words: list[str], place: int, length: int, expected: frozenset[str], *, rated: bool = False
    ) -> bool:
        items = self._items.get(tuple(words[place : place + length])) if place + length <= len(words) else None
        if items is None:
            return False
        if rated:
            return not items.isdisjoint(expected)
        year = place + length < len(words) and YEAR.fullmatch(words[place + length]) is not None
        return length > 1 or year or not items.isdisjoint(expected)


def _forms(name: str) -> list[str]:
    """Return a name, and without the brackets at its end: `Run Lola Run (Lola rennt) (1998)` has three forms."""
    forms = [name]
    while (shorter := ASIDE.sub("", forms[-1])) not in ("", forms[-1]):
        forms.append(shorter)
    return forms
