"""The lexical encoder against scikit-learn's own pipeline, and its state on the way through bytes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer

from base.progress import silent
from encoders.lexical import FEW_TEXTS, LexicalEncoder
from encoders.protocol import TooFewTexts

WORDS = [
    "warm",
    "slow",
    "bright",
    "noir",
    "tender",
    "comic",
    "grim",
    "vast",
    "quiet",
    "loud",
    "heist",
    "court",
    "space",
    "ocean",
    "family",
    "exile",
]


def some_texts(count: int, seed: int = 0) -> list[str]:
    generator = np.random.default_rng(seed)
    return sorted({" ".join(generator.choice(WORDS, size=generator.integers(3, 12))) for _ in range(count)})


@pytest.mark.parametrize(("count", "rare"), [(40, 1), (FEW_TEXTS + 40, 2)])
def test_vectors_equal_those_of_scikit_learns_pipeline(count, rare):
    texts, unseen = some_texts(count), [*some_texts(5, seed=9), "warm WARM, and an unknown word", "slow bright"]
    assert (len(texts) >= FEW_TEXTS) == (rare == 2)
    pipeline = make_pipeline(
        TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=rare),
        TruncatedSVD(8, random_state=0),
        Normalizer(),
    ).fit(texts)

    encoder = LexicalEncoder.fit(texts, 8)

    assert encoder.dimension == 8
    for wanted in (texts, unseen):
        assert encoder.encode(wanted, silent) == pytest.approx(pipeline.transform(wanted), abs=1e-5)


def test_only_the_commonest_terms_are_kept_when_there_are_too_many(monkeypatch):
    monkeypatch.setattr("encoders.lexical.MOST_TERMS", 12)
    texts = some_texts(40)
    pipeline = make_pipeline(
        TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, max_features=12),
        TruncatedSVD(4, random_state=0),
        Normalizer(),
    ).fit(texts)

    encoder = LexicalEncoder.fit(texts, 4)

    assert encoder.fits(384, texts=40) is False
    assert encoder.encode(texts, silent) == pytest.approx(pipeline.transform(texts), abs=1e-5)
    assert LexicalEncoder.fit(texts, 384).dimension == 11  # twelve terms span eleven directions after the first


def test_vectors_have_length_one_and_a_text_with_no_known_word_gives_zeros():
    encoder = LexicalEncoder.fit(some_texts(20), 4)

    vectors = encoder.encode(["warm noir", "xyzzy", "", "!?"], silent)

    assert vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1) == pytest.approx([1, 0, 0, 0], abs=1e-6)


@settings(deadline=None, max_examples=20)
@given(random=st.randoms(), doubled=st.integers(0, 19))
def test_neither_the_order_of_the_texts_nor_doubles_matter(random, doubled):
    texts = some_texts(20)
    shuffled = [*texts, texts[doubled]]
    random.shuffle(shuffled)

    one, other = LexicalEncoder.fit(texts, 4), LexicalEncoder.fit(shuffled, 4)

    assert one.fingerprint == other.fingerprint
    assert np.array_equal(one.encode(texts, silent), other.encode(texts, silent))


def test_a_state_survives_bytes_bit_by_bit():
    encoder = LexicalEncoder.fit([*some_texts(20), "Amélie — 東京 naïve"], 4)

    again = LexicalEncoder.from_state(encoder.state())

    assert (again.fingerprint, again.dimension) == (encoder.fingerprint, 4)
    assert np.array_equal(
        again.encode(["amélie 東京", "warm noir"], silent), encoder.encode(["amélie 東京", "warm noir"], silent)
    )
    assert again.state() == encoder.state()


def test_a_state_is_plain_arrays_and_never_a_pickle():
    state = LexicalEncoder.fit(some_texts(20), 4).state()

    assert state.startswith(b"PK")
    assert b"pickle" not in state
    assert b"sklearn" not in state


def test_the_fingerprint_tells_texts_dimensions_and_places_apart():
    texts = some_texts(20)
    fits = [
        LexicalEncoder.fit(texts, 4),
        LexicalEncoder.fit(texts[1:], 4),
        LexicalEncoder.fit(texts, 3),
        LexicalEncoder.fit(texts, 4, place="lexical/kar_item"),
    ]

    assert len({fit.fingerprint for fit in fits}) == 4


def test_few_texts_give_shorter_vectors_and_the_encoder_knows_that_they_are_as_long_as_can_be():
    encoder = LexicalEncoder.fit(["warm noir", "slow court", "vast space"], 384)

    assert encoder.dimension == 2  # three texts span two directions after the first
    assert encoder.fits(384, texts=3)
    assert not encoder.fits(1, texts=3)


@pytest.mark.parametrize("texts", [[], ["warm noir"], ["warm", "warm"], ["!", "?"], ["a", "b"]])
def test_texts_with_too_few_words_are_refused(texts):
    with pytest.raises(TooFewTexts, match=f"{len(set(texts))} texts: they have too few words"):
        LexicalEncoder.fit(texts, 4)


def test_another_error_of_a_fit_is_not_taken_for_too_few_words():
    with pytest.raises(ValueError, match="unicode") as caught:
        LexicalEncoder.fit([np.nan], 4)  # pyright: ignore[reportArgumentType]

    assert not isinstance(caught.value, TooFewTexts)
