"""What is searched for when a user is forgotten: texts that are the user's alone, and ids that nothing else is like."""

import html
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import polars as pl

LEAST_TEXT = 24
"""Characters; a shorter text, such as one word, may stand anywhere."""
QUOTED = 60
"""Characters; nobody says a text that long, word by word, by chance."""
HEAD = 200
"""Characters at its beginning and its end by which a longer text is recognised: pages show only the beginning, and
prompts begin alike."""
LEAST_ID = 8
"""Bytes; a shorter id, such as 7, stands everywhere, and is searched only in cells that hold ids of users."""


@dataclass(frozen=True)
class Needles:
    """Texts and ids to search for."""

    texts: frozenset[str] = frozenset()
    """Texts of the users that no other text contains."""
    ids: frozenset[str] = frozenset()
    """Ids of the users that are long enough."""

    def __bool__(self) -> bool:
        """Return whether there is anything to search for."""
        return bool(self.texts or self.ids)

    @cached_property
    def spellings(self) -> list[str]:
        """Return everything as it may be spelled: plain, in JSON, and in a page."""
        return sorted({form for one in (*self.texts, *self.ids) for form in _forms(one)})

    @cached_property
    def _whole_ids(self) -> re.Pattern[str] | None:
        forms = sorted({form for one in self.ids for form in _forms(one)})
        return re.compile(_as_words(forms)) if forms else None

    @cached_property
    def _text_forms(self) -> tuple[str, ...]:
        return tuple({form for one in self.texts for form in _forms(one)})

    def hits(self, cells: pl.Series) -> pl.Series:
        """Return which cells hold one of them: [n] String -> [n] Boolean."""
        if not self:
            return pl.repeat(False, len(cells), dtype=pl.Boolean, eager=True)
        found = cells.str.contains_any(self.spellings).fill_null(value=False)
        if self.ids and found.any():  # ids must stand alone: 12345678 does not stand in 1234567890
            told = [bool(hit) and self.hit(cell) for hit, cell in zip(found, cells, strict=True)]
            found = pl.Series(told, dtype=pl.Boolean)
        return found

    def hit(self, text: str) -> bool:
        """Return whether a text holds one of them.

        Example:
            >>> needles = Needles(ids=frozenset({"customer-7"}))
            >>> needles.hit('["customer-7","i1"]'), needles.hit("customer-77")
            (True, False)
        """
        if self._whole_ids is not None and self._whole_ids.search(text):
            return True
        return any(form in text for form in self._text_forms)

    @cached_property
    def bytes_pattern(self) -> re.Pattern[bytes] | None:
        """Return a pattern that finds them in the bytes of a file; None if there is nothing to search for."""
        forms = [re.escape(form.encode("utf-8", "surrogatepass")) for form in self._text_forms]
        if self._whole_ids is not None:
            forms.append(self._whole_ids.pattern.encode("utf-8", "surrogatepass"))
        return re.compile(b"|".join(forms)) if forms else None


def _forms(text: str) -> set[str]:
    """Return a text as it may be written: plain, in JSON, and in a page as Python or as Jinja escapes it."""
    page = html.escape(text)
    jinja = page.replace("&quot;", "&#34;").replace("&#x27;", "&#39;")
    return {text, json.dumps(text, ensure_ascii=False)[1:-1], json.dumps(text)[1:-1], page, jinja}


def _as_words(forms: Iterable[str]) -> str:
    # A letter before it may be that of an escape, as in the JSON of "Hi\ncustomer-7".
    begins = r"(?:(?<![0-9A-Za-z])|(?<=\\[nrtbf])|(?<=\\u[0-9a-f]{4}))"
    return f"{begins}(?:{'|'.join(map(re.escape, forms))})(?![0-9A-Za-z])"


def needles_of(
    users: Iterable[str], texts: Iterable[str | None], others: pl.Series, written: Iterable[str | None] = ()
) -> Needles:
    """Choose what to search for.

    Args:
        users: Ids of the users.
        texts: Their texts.
        others: All texts that are about somebody or something else.
        written: Texts among theirs that a model wrote: another that holds a long one quotes it. A prompt that holds
            the whole prompt of a user quotes nobody: a longer history begins like a shorter one.
    """
    wrote = {text.strip() for text in written if text}
    long = {text.strip() for text in texts if text and len(text.strip()) >= LEAST_TEXT}
    parts = {text: {text[:HEAD].rstrip(), text[-HEAD:].lstrip()} for text in long}
    shared, same = _contained({part for both in parts.values() for part in both}, others), set(others)
    chosen = {part for both in parts.values() for part in both} - shared
    quoted = {text for text in wrote & long if len(text) >= QUOTED and text not in same}
    chosen |= {text for text in quoted if parts[text] <= shared}
    return Needles(frozenset(chosen), frozenset(user for user in users if len(user.encode()) >= LEAST_ID))


def _contained(texts: set[str], others: pl.Series) -> set[str]:
    """Return the texts that stand within other texts."""
    if not texts or others.is_empty():
        return set()
    found = others.str.extract_many(sorted(texts), overlapping=True).explode().drop_nulls()
    return set(found.unique())
