"""The lexical encoder: TF-IDF over words and word pairs, then truncated SVD.

Idea:      an answer names directors, actors, subgenres and reception; word counts keep these, mean pooling does not
           (docs/decisions.md: ridge regression from the text to an unseen film's rating, R2 0.37 against 0.23).
Relations: dense generalises over wording; one arm can use both.
"""

import hashlib
import io
import json
import re
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
from pydantic import Field

from base.frozen import Frozen
from base.progress import Progress
from encoders.protocol import EncoderKind, Fitting, TooFewTexts

FORM = "tfidf 1-2 grams, sublinear, truncated svd, unit length, v1"
NO_WORDS = r"empty vocabulary|no terms remain"
"""What scikit-learn says of texts without a single word, or without one that is common enough."""
FEW_TEXTS = 200
MOST_TERMS = 100_000
"""Maximum words and word pairs, the most common ones: 150 MB of fitted state at 384 dimensions for any number of
texts."""


class LexicalOptions(Frozen):
    """Settings of an encoder of kind lexical."""

    dimension: int = Field(default=384, ge=2)
    """Length of the vectors."""
    refit_share: float = Field(default=0.2, ge=0, le=1)
    """Fit again if more than this share of the texts is new since the last fit; 0 = with every new text."""


def spanned(dimension: int, texts: int, terms: int) -> int:
    """Return the length of the vectors: as requested, or what the texts and their words can span."""
    return min(dimension, texts - 1, terms - 1)


class LexicalEncoder:
    """Encodes with a fitted state; `fit` makes it, `state` and `from_state` save and load it.

    Args:
        terms: [V] words and word pairs.
        inverse_frequency: [V] float32.
        components: [d, V] float32, the right singular vectors.
        fingerprint: Hash of the texts, the parameters of the fit and the purpose of the state.
    """

    def __init__(
        self, terms: Sequence[str], inverse_frequency: np.ndarray, components: np.ndarray, fingerprint: str
    ) -> None:
        self._terms, self._inverse_frequency, self._components = list(terms), inverse_frequency, components
        self.fingerprint = fingerprint
        self.dimension = int(components.shape[0])
        self.seen_until = None  # it is fitted only on texts

    @classmethod
    def fit(cls, texts: Sequence[str], dimension: int, place: str = "") -> "LexicalEncoder":
        """Fit on texts; their order and duplicates do not matter.

        Args:
            texts: At least two different texts.
            dimension: Length of the vectors; shorter if the texts do not span as many dimensions.
            place: Purpose of the state, part of the fingerprint: two tasks with the same texts each keep their own.

        Raises:
            TooFewTexts: The texts have too few words.
        """
        import sklearn  # noqa: PLC0415 - takes a second, and a plan needs none
        from sklearn.decomposition import TruncatedSVD  # noqa: PLC0415
        from sklearn.feature_extraction.text import TfidfVectorizer  # noqa: PLC0415
        from threadpoolctl import threadpool_limits  # noqa: PLC0415

        texts = sorted(set(texts))
        # A word in only one text says nothing about others, but with few texts none can be lost.
        rarest = 2 if len(texts) >= FEW_TEXTS else 1
        vectorizer = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=rarest, max_features=MOST_TERMS)
        too_few = f"the lexical encoder cannot be fitted on {len(texts)} texts: they have too few words"
        try:
            weights = vectorizer.fit_transform(texts)  # [n, V]
        except ValueError as error:
            if not re.search(NO_WORDS, str(error)):
                raise
            raise TooFewTexts(too_few) from error
        span = spanned(dimension, *weights.shape)
        if span < 1:
            raise TooFewTexts(too_few)
        # Threads that wait for each other cost more than they save; and one thread always sums in the same order.
        with threadpool_limits(1):
            svd = TruncatedSVD(n_components=span, random_state=0).fit(weights)
        # With the version: another one may flip a vector's sign, and vectors of both would be mixed.
        digest = hashlib.sha256(json.dumps([FORM, MOST_TERMS, sklearn.__version__, place, dimension]).encode())
        for text in texts:
            digest.update(hashlib.sha256(text.encode()).digest())
        terms = vectorizer.get_feature_names_out().tolist()
        return cls(
            terms,
            np.asarray(vectorizer.idf_, np.float32),
            np.asarray(svd.components_, np.float32),
            digest.hexdigest()[:32],
        )

    def fits(self, dimension: int, texts: int) -> bool:
        """Return whether a fit on that many texts with that dimension would give vectors of this length."""
        return self.dimension == spanned(dimension, texts, len(self._terms))

    def state(self) -> bytes:
        """Return the fitted state as bytes: plain arrays and JSON, no pickle."""
        buffer = io.BytesIO()
        np.savez(
            buffer,
            terms=np.frombuffer(json.dumps(self._terms).encode(), dtype=np.uint8),
            inverse_frequency=self._inverse_frequency,
            components=self._components,
            fingerprint=np.frombuffer(self.fingerprint.encode(), dtype=np.uint8),
        )
        return buffer.getvalue()

    @classmethod
    def from_state(cls, state: bytes) -> "LexicalEncoder":
        """Load a fitted state."""
        with np.load(io.BytesIO(state), allow_pickle=False) as arrays:
            terms = json.loads(arrays["terms"].tobytes())
            fingerprint = arrays["fingerprint"].tobytes().decode()
            return cls(terms, arrays["inverse_frequency"], arrays["components"], fingerprint)

    @cached_property
    def _counter(self) -> Any:
        from sklearn.feature_extraction.text import CountVectorizer  # noqa: PLC0415 - see above

        return CountVectorizer(ngram_range=(1, 2), vocabulary={term: i for i, term in enumerate(self._terms)})

    def encode(self, texts: Sequence[str], progress: Progress) -> np.ndarray:
        """Encode texts: [n] -> [n, d] float32, each of norm 1 (zeros if no word is known)."""
        from scipy.sparse import csr_matrix, diags  # noqa: PLC0415 - see above
        from sklearn.preprocessing import normalize  # noqa: PLC0415

        counts = csr_matrix(self._counter.transform(texts), dtype=np.float32)  # [n, V]
        counts.data = 1 + np.log(counts.data)  # sublinear term frequency
        weights = normalize(counts @ diags(self._inverse_frequency))
        vectors = np.asarray(normalize(weights @ self._components.T), dtype=np.float32)  # [n, d]
        progress("encoding (lexical)", len(texts), len(texts))
        return vectors


def _keeps(options: LexicalOptions, encoder: LexicalEncoder, fitted_on: int, texts: int, unseen: int) -> bool:
    return unseen <= options.refit_share * texts and encoder.fits(options.dimension, fitted_on)


LEXICAL = EncoderKind(
    name="lexical",
    about="TF-IDF over words and word pairs, then truncated SVD",
    options=LexicalOptions,
    build=Fitting(
        fit=lambda options, texts, place: LexicalEncoder.fit(texts, options.dimension, place),
        from_state=LexicalEncoder.from_state,
        keeps=_keeps,
    ),
    loads_a_model=False,
)
