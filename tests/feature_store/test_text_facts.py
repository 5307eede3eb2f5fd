"""Facts of texts: each is a function of the text alone, whatever texts are beside it."""

import random

import numpy as np
import polars as pl

from feature_store.text_facts import FACTS, HASHES, find_facts, signatures

PARTS = [
    "I am sorry",
    "warm",
    "Film",
    "<think>",
    "Фильм",
    "Heat 1995",
    "これは",
    "映画です",
    "…",
    "42",
    "и",
    "a b c d",
    "",
]


def some_texts(count: int) -> pl.Series:
    chance = random.Random(0)
    return pl.Series([" ".join(chance.choices(PARTS, k=chance.randint(0, 20))) for _ in range(count)])


def facts_of(texts: pl.Series) -> pl.DataFrame:
    return find_facts(pl.DataFrame({"text_key": texts, "text": texts}))


def test_a_fact_depends_on_its_text_alone(monkeypatch):
    texts = some_texts(60)
    together = facts_of(texts)
    monkeypatch.setattr("feature_store.text_facts.HASHED_AT_ONCE", 7)

    assert together.schema == FACTS
    assert facts_of(texts).equals(together)
    assert pl.concat([facts_of(texts[n : n + 1]) for n in range(60)]).equals(together)
    assert facts_of(texts[:0]).schema == FACTS


def test_the_script_is_that_of_most_letters_and_none_without_a_letter():
    texts = pl.Series(["A film", "Фильм Heat, и снова", "Heat и", "42 …", "42", "", "映画です", "映画映画です"])

    scripts = facts_of(texts)["script"].to_list()

    assert scripts == ["Latin", "Cyrillic", "Latin", None, None, None, "Kana", "Han"]  # of 2 and 2 the first listed


def test_a_signature_holds_the_least_hash_of_every_seed():
    """The share of equal least hashes estimates the Jaccard similarity of the sequences of three words."""
    words = [f"w{chr(97 + n % 26)}{chr(97 + n // 26)}" for n in range(400)]
    texts = [words[:200], [*words[:100], *words[200:300]], words[:5], [*words[:200], "7"]]
    found = signatures(pl.Series([" ".join(one) for one in texts]))
    one, half, _, numbered = found.to_list()

    assert found.is_null().to_list() == [False, False, True, False]
    assert len(one) == HASHES
    assert one == numbered  # digits do not count
    shared, every = 98, 98 + 2 * 100  # each has 198 sequences
    bound = 3 * np.sqrt(shared / every * (1 - shared / every) / HASHES)  # three standard deviations of a share
    assert abs(np.mean([a == b for a, b in zip(one, half, strict=True)]) - shared / every) < bound
