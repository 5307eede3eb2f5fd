"""Relevance of a document to a query: the model f of BEQUE's offline feedback, and its threshold.

Source: Peng et al. 2024, "Large Language Model based Long-tail Query Rewriting in Taobao Search" (arXiv 2311.03758),
section 4.3. Its f is Taobao's own model; these are generally available substitutes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import polars as pl
from scipy import sparse
from sklearn.metrics import roc_curve

from base.faults import WrongUse
from retrieval.search import analysed
from sources.config import QuerySplit
from sources.queries import training_queries
from sources.tables import Dataset

Encode = Callable[[Sequence[str]], np.ndarray]
"""Texts [n] -> vectors [n, d] float32, each of length one."""
PairScores = Callable[[Sequence[tuple[str, str]]], np.ndarray]
"""Pairs (query, document) [n] -> scores [n] float32, such as `CrossEncoder.predict` of sentence-transformers."""
PAIRS_AT_ONCE = 50_000
Pairs = tuple[Sequence[str], np.ndarray]
"""Queries [P] and one position each [P]."""


class Relevance(Protocol):
    """Scores the relevance of documents to queries; higher is more relevant."""

    def scores(self, queries: Sequence[str], places: np.ndarray) -> np.ndarray:
        """Score documents: [Q] queries, [Q, k] positions (-1 = none) -> [Q, k] float32, NaN where there is none."""
        ...


class LexicalOverlap:
    """The share of a query's words, weighted by idf, that the document contains.

    Args:
        texts: [N] documents.

    Example:
        >>> model = LexicalOverlap(["space opera", "space western", "costume drama"])
        >>> model.scores(["Space operas"], np.array([[0, 1, 2, -1]])).round(2)
        array([[1.  , 0.32, 0.  ,  nan]], dtype=float32)
    """

    def __init__(self, texts: Sequence[str]) -> None:
        words = [sorted(set(found)) for found in analysed(texts)]
        self._place = {word: place for place, word in enumerate(sorted({word for found in words for word in found}))}
        self._holds = self._matrix([[(self._place[word], 1.0) for word in found] for found in words])  # [N, V]
        self._documents = len(words)
        self._idf = self._idf_of(self._holds.sum(axis=0))

    def _idf_of(self, documents: Any) -> np.ndarray:
        return np.log1p((self._documents - documents + 0.5) / (np.asarray(documents) + 0.5))

    def _matrix(self, rows: Sequence[Sequence[tuple[int, float]]]) -> sparse.csr_array:
        ends = np.cumsum([0, *map(len, rows)])
        flat = np.array([pair for row in rows for pair in row], dtype=np.float64).reshape(-1, 2)
        return sparse.csr_array((flat[:, 1], flat[:, 0].astype(np.int32), ends), shape=(len(rows), len(self._place)))

    def scores(self, queries: Sequence[str], places: np.ndarray) -> np.ndarray:
        """Score documents, 0 to 1; a query without a word scores 0."""
        words = [sorted(set(found)) for found in analysed(queries)]
        known = [[(self._place[w], self._idf[self._place[w]]) for w in found if w in self._place] for found in words]
        # A word that is in no document lowers the score of all of them.
        unknown = [sum(w not in self._place for w in found) * float(self._idf_of(0)) for found in words]
        weights = self._matrix(known)  # [Q, V]
        total = np.maximum(weights.sum(axis=1) + np.array(unknown), 1e-12)
        out = np.full(places.shape, np.nan, dtype=np.float32)
        query, rank = np.nonzero(places >= 0)
        for start in range(0, len(query), PAIRS_AT_ONCE):
            q, r = query[start : start + PAIRS_AT_ONCE], rank[start : start + PAIRS_AT_ONCE]
            shared = self._holds[places[q, r]].multiply(weights[q]).sum(axis=1)
            out[q, r] = shared / total[q]
        return out


class DenseCosine:
    """The cosine of query and document.

    Args:
        vectors: [N, d] of the documents, each of length one.
        encode: Encodes queries with the same encoder.
        others: Vectors of further texts about the same documents, in the same form; the nearest one counts.
    """

    def __init__(self, vectors: np.ndarray, encode: Encode, others: Sequence[np.ndarray] = ()) -> None:
        self._vectors, self._encode = (vectors, *others), encode

    def scores(self, queries: Sequence[str], places: np.ndarray) -> np.ndarray:
        """Score documents, -1 to 1."""
        if len(queries) == 0:
            return np.zeros(places.shape, dtype=np.float32)
        asked = self._encode(list(queries))  # [Q, d]
        out = np.full(places.shape, np.nan, dtype=np.float32)
        query, rank = np.nonzero(places >= 0)
        for start in range(0, len(query), PAIRS_AT_ONCE):
            q, r = query[start : start + PAIRS_AT_ONCE], rank[start : start + PAIRS_AT_ONCE]
            cosines = [np.einsum("pd,pd->p", asked[q], vectors[places[q, r]]) for vectors in self._vectors]
            out[q, r] = np.maximum.reduce(cosines)
        return out


class CrossEncoder:
    """A model that reads the query and the document together.

    Args:
        texts: [N] documents.
        scorer: The model.
    """

    def __init__(self, texts: Sequence[str], scorer: PairScores) -> None:
        self._texts, self._scorer = list(texts), scorer

    def scores(self, queries: Sequence[str], places: np.ndarray) -> np.ndarray:
        """Score documents on the model's own scale."""
        out = np.full(places.shape, np.nan, dtype=np.float32)
        query, rank = np.nonzero(places >= 0)
        if len(query):
            pairs = [
                (queries[q], self._texts[places[q, r]]) for q, r in zip(query.tolist(), rank.tolist(), strict=True)
            ]
            out[query, rank] = self._scorer(pairs)
        return out


@dataclass(frozen=True)
class Calibration:
    """A threshold of f, and how well f separates engaged pairs from random ones."""

    threshold: float
    """A document is relevant when f is strictly above it."""
    auc: float
    """Probability that an engaged pair scores higher than a random one; ties count half."""
    accuracy: float
    """Balanced accuracy: the mean of the shares of engaged pairs above and of random pairs not above the threshold."""
    engaged: int
    """Engaged pairs."""
    random: int
    """Random pairs."""


def calibrate(model: Relevance, engaged: Pairs, other: Pairs) -> Calibration:
    """Choose the threshold with the best balanced accuracy (Youden's index).

    Args:
        model: The relevance model.
        engaged: Queries of the training part, each with an engaged document.
        other: The same queries with random documents, from `random_pairs`.

    Raises:
        ValueError: One kind has no pairs.
    """
    above, below = (model.scores(list(queries), places[:, None])[:, 0] for queries, places in (engaged, other))
    if len(above) == 0 or len(below) == 0:
        raise ValueError(f"{len(above):,} engaged and {len(below):,} random pairs: both are needed")
    label = np.repeat([1, 0], [len(above), len(below)])
    score = np.concatenate([above, below]).astype(np.float64)
    false, true, at_least = roc_curve(label, score, drop_intermediate=False)
    best = int(np.argmax(true - false))  # the highest threshold of equally good ones
    # The curve means "at least", but f must be strictly above: use the midpoint to the next lower score. Where f does
    # not separate (best = 0), no document is above.
    threshold = (at_least[best] + score[score < at_least[best]].max()) / 2 if best else score.max()
    accuracy = float((1 + true[best] - false[best]) / 2)
    return Calibration(float(threshold), float(np.trapezoid(true, false)), accuracy, len(above), len(below))


def random_pairs(queries: Sequence[str], engaged: Sequence[np.ndarray], documents: int, seed: int) -> Pairs:
    """Draw as many documents for every query as it has engaged ones, none of them engaged.

    Args:
        queries: [Q].
        engaged: [Q] arrays of positions.
        documents: Number N of documents.
        seed: Random seed.
    """
    random = np.random.default_rng(seed)
    drawn: list[np.ndarray] = []
    for places in engaged:
        others = np.setdiff1d(np.arange(documents), places)
        drawn.append(random.choice(others, size=min(len(places), len(others)), replace=False))
    asked = [query for query, places in zip(queries, drawn, strict=True) for _ in places]
    return asked, np.concatenate(drawn) if drawn else np.zeros(0, dtype=np.int64)


def relevant_places(
    model: Relevance, threshold: float, queries: Sequence[str], places: Sequence[np.ndarray]
) -> list[np.ndarray]:
    """Return the positions that are relevant to each query, sorted: [Q] arrays -> [Q] arrays."""
    distinct = [np.unique(of[of >= 0]) for of in map(np.asarray, places)]
    padded = np.full((len(distinct), max(map(len, distinct), default=0)), -1, dtype=np.int64)
    for row, of in zip(padded, distinct, strict=True):
        row[: len(of)] = of
    above = model.scores(list(queries), padded) > threshold  # NaN is above nothing
    return [row[keep] for row, keep in zip(padded, above, strict=True)]


def calibrated(model: Relevance, dataset: Dataset, split: QuerySplit) -> Calibration:
    """Calibrate on training queries, using only what training may know about them.

    Raises:
        WrongUse: No training query led to an item.
    """
    table = training_queries(dataset, split).filter(pl.col("items").list.len() > 0)
    if table.is_empty():
        raise WrongUse(
            "rewrites.threshold: cannot be calibrated, because no training query led to an item\n"
            "  set a threshold, or add queries with items"
        )
    queries, engaged = table["query"].to_list(), item_places(dataset, table["items"])
    pairs = [query for query, places in zip(queries, engaged, strict=True) for _ in places], np.concatenate(engaged)
    return calibrate(model, pairs, random_pairs(queries, engaged, len(dataset.items), split.seed))


def item_places(dataset: Dataset, items: pl.Series) -> list[np.ndarray]:
    """Return the positions of items in the dataset: [Q] lists of ids -> [Q] sorted arrays."""
    where = {item: place for place, item in enumerate(dataset.items["item"])}
    return [np.array(sorted(where[item] for item in of), dtype=np.int64) for of in items]
