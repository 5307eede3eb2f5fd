"""Notes: an item as shown in NoteLLM's prompt, and the two texts that a model learns to write about it.

Paper:     Zhang et al. 2024, "NoteLLM: A Retrievable Large Language Model for Note Recommendation", section 3.
Idea:      the prompt asks to compress a note into one word; the state in which the model would say that word is the
           note's vector. The text after the word, the category or some hashtags, teaches the word what to capture.
Formula:   <instruction><note>The compression word is:"[EMB]".<guidance><output>; the vector is the last layer's state
           of the token before [EMB], and the note comes before everything that differs between tasks.
Consumes:  items: title, texts or knowledge, category fields.
Produces:  one prompt per note, and (prompt, output) pairs to learn from.
Cost:      no call.
Relations: tuning/contrastive.py learns from them; an encoder that is not a decoder uses the plain note.
Example:   knowflow tune encoder --model models/Qwen3-0.6B --out encoders/notes
"""

import json
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from prompts.domain import Domain
from prompts.library import SHIPPED, Library, choose_prompt
from prompts.prompt import Prompt

TITLE_TOKENS, CONTENT_TOKENS = 20, 80
"""Maximum tokens of a note's title and content (section 4.1)."""
MARK = "\N{OBJECT REPLACEMENT CHARACTER}"
"""Placeholder for the note while the text around it is rendered."""


class Tokenizer(Protocol):
    """The required methods of a tokenizer."""

    def encode(self, text: str, *, add_special_tokens: bool) -> list[int]:
        """Turn a text into token ids."""
        ...

    def decode(self, ids: Sequence[int]) -> str:
        """Turn token ids into a text."""
        ...


def note_text(title: str, content: str = "") -> str:
    """Write a note: the title on the first line, the content below; the same text for every encoder.

    Example:
        >>> note_text("Heat (1995)", "A thief and a detective.")
        'Heat (1995)\\nA thief and a detective.'
    """
    return f"{' '.join(title.split())}\n{content.strip()}".strip()


def notes(
    items: Iterable[Mapping[str, Any]],
    domain: Domain,
    contents: Mapping[str, str] | None = None,
    *,
    show_fields: bool = True,
) -> dict[str, str]:
    """Write the notes of items.

    Args:
        items: Rows of the items' table.
        domain: Provides the names and descriptions of items.
        contents: Item -> text below the title, such as what a model knows about it; None: only the title.
        show_fields: Use the description of an item, `Heat (1995) [Crime, Drama]`; otherwise its name, `Heat (1995)`, so
            that a language model has something to infer.
    """
    call = domain.item_description if show_fields else domain.item_name
    known = contents or {}
    return {str(item["item"]): note_text(call(item), known.get(str(item["item"]), "")) for item in items}


@dataclass(frozen=True)
class Wrapping:
    """The prompt around a note for a tuned language model; encoders add it themselves."""

    before: str
    """The instruction."""
    after: str
    """The text up to the compression word; the prompt ends here, so that its last token gives the vector."""
    title_tokens: int = TITLE_TOKENS
    """Maximum tokens of a note's first line."""
    content_tokens: int = CONTENT_TOKENS
    """Maximum tokens of the lines below."""

    def wrap(self, note: str, tokenizer: Tokenizer) -> str:
        """Truncate a note and put the prompt around it."""
        title, _, content = note.partition("\n")
        parts = _cut(title, self.title_tokens, tokenizer), _cut(content, self.content_tokens, tokenizer)
        return self.before + "\n".join(part for part in parts if part) + self.after


def _cut(text: str, longest: int, tokenizer: Tokenizer) -> str:
    ids = tokenizer.encode(text, add_special_tokens=False)
    return text if len(ids) <= longest else tokenizer.decode(ids[:longest]).rstrip("\N{REPLACEMENT CHARACTER} ")


def compression(domain: Domain, library: Library = SHIPPED) -> Wrapping:
    """Return the wrapping for language models: the prompt note_embedding of a library, in the words of a domain."""
    text = choose_prompt("note_embedding", library=library).render({"note": MARK}, domain)[0]["content"]
    before, after = text.split(MARK)
    return Wrapping(before, after)


def encoder_wrapping(folder: Path) -> Wrapping | None:
    """Read the wrapping of a tuned encoder from the knowflow_tuning.json in its folder; None = plain notes."""
    file = folder / "knowflow_tuning.json"
    said = json.loads(file.read_text(encoding="utf-8")).get("wrapping") if file.is_file() else None
    return Wrapping(**said) if said else None


@dataclass(frozen=True)
class Labels:
    """What a model learns to write about an item."""

    category: str | None
    """Its main category: the first of the chosen field."""
    hashtags: tuple[str, ...]
    """All its tags; some are drawn each time."""

    def hidden_from(self, note: str) -> "Labels":
        """Return the labels that a note does not show, because those it shows could be copied.

        Example:
            >>> Labels("Crime", ("Crime", "Drama")).hidden_from("A true crime")
            Labels(category=None, hashtags=('Drama',))
        """
        shown = note.casefold()
        category = self.category if self.category and self.category.casefold() not in shown else None
        return Labels(category, tuple(tag for tag in self.hashtags if tag.casefold() not in shown))


@dataclass(frozen=True)
class Output:
    """A text to learn, after a note and its compression word."""

    task: str
    """`category` or `hashtags`."""
    guidance: str
    """The text between the compression word and the output."""
    text: str
    """The output; only this is learned."""


@dataclass(frozen=True)
class Guides:
    """Writes outputs in the words of a domain."""

    domain: Domain
    """Its words."""
    field: str
    """Name of the category field in the prompt."""
    hashtag_share: float = 0.4
    """Share of the notes that get the hashtag task; the others get the category (section 4.1)."""
    library: Library = SHIPPED
    """Where the prompts are looked for."""

    @cached_property
    def _prompts(self) -> tuple[Prompt, Prompt]:
        category, hashtags = (choose_prompt(f"note_{name}", library=self.library) for name in ("category", "hashtags"))
        return category, hashtags  # reads files: cached

    def longest(self, task: str) -> int:
        """Return the maximum tokens of an output, from its prompt: of `category` or `hashtags`."""
        return self._prompts[("category", "hashtags").index(task)].front.sampling["max_tokens"]

    def category(self, labels: Labels) -> Output:
        """Return the category task of an item that has a category."""
        text = self._prompts[0].render({"field": self.field}, self.domain)[0]["content"]
        return Output("category", text, f" {labels.category}")

    def hashtags(self, labels: Labels, chance: random.Random) -> Output:
        """Return the hashtag task: a random number of tags, which the guidance states, in random order."""
        count = chance.randint(1, len(labels.hashtags))
        return self._hashtags(chance.sample(labels.hashtags, count))

    def all_hashtags(self, labels: Labels) -> Output:
        """Return the hashtag task without randomness: all tags of an item, in their own order."""
        return self._hashtags(labels.hashtags)

    def _hashtags(self, tags: Sequence[str]) -> Output:
        text = self._prompts[1].render({"count": len(tags)}, self.domain)[0]["content"]
        return Output("hashtags", text, " " + ", ".join(tags))

    def draw(self, labels: Labels, note: str, chance: random.Random) -> Output | None:
        """Draw a task for a note and write its output.

        Tags that the note itself shows are excluded, because they could be copied. If the drawn task is not possible,
        the note gets none, so that the shares stay unchanged.

        Args:
            labels: Labels of the item.
            note: Its text.
            chance: Random number generator.

        Returns:
            The task, or None if the item lacks what the drawn task needs.
        """
        hidden = labels.hidden_from(note)
        if chance.random() >= self.hashtag_share:
            return self.category(hidden) if hidden.category else None
        return self.hashtags(hidden, chance) if hidden.hashtags else None


def labels_of(items: Sequence[Mapping[str, object]], field: str) -> dict[str, Labels]:
    """Return the labels of items: the first value of a category field, and all its values as tags.

    Args:
        items: Rows of the items' table.
        field: Name of a category field.

    Example:
        >>> labels_of([{"item": "7", "genres": ["Crime", "Drama"]}], "genres")
        {'7': Labels(category='Crime', hashtags=('Crime', 'Drama'))}
    """
    found: dict[str, Labels] = {}
    for item in items:
        values = item.get(field)
        words = tuple(str(value) for value in values) if isinstance(values, list | tuple) else ()
        found[str(item["item"])] = Labels(words[0] if words else None, words)
    return found
