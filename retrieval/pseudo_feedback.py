"""RM3: expand a query with words of its results, without any model: the baseline for LLM knowledge.

    p(w | R) = sum over the documents d found first:  f(w, d) / |d| * score(d) / sum of the scores
    new query: (1 - expansion) f(w, q) / |q| + expansion p(w | R), over the words of q and the most likely of p

Source: Abdul-Jaleel et al. 2004, "UMass at TREC 2004: Novelty and HARD", after Lavrenko and Croft 2001,
"Relevance-Based Language Models". As in Anserini, the BM25 score replaces the likelihood of the query, words in more
than a tenth of the documents are left out, and p of the added words is normalised to a sum of 1.
"""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from retrieval.search import BulkSearch, analysed

FOUND, WORDS, EXPANSION, COMMON = 10, 10, 0.5, 0.1
"""Documents used, words added, their weight, and the share of documents above which a word is too common."""


def rm3(search: BulkSearch, queries: Sequence[str], k: int = 50) -> np.ndarray:
    """Search twice, the second time with words of the first results.

    Args:
        search: The search.
        queries: [Q].
        k: Results per query.

    Returns:
        [Q, k] positions, as from `BulkSearch.search`.
    """
    holding = Counter(word for words in search.words for word in set(words))
    common = {word for word, number in holding.items() if number > COMMON * len(search.words)}
    asked = [Counter(words) for words in analysed(queries)]
    places, scores = search.rank(asked, FOUND)
    expanded = [
        expand(query, [(search.words[p], float(s)) for p, s in zip(row, of, strict=True) if p >= 0], common)
        for query, row, of in zip(asked, places, scores, strict=True)
    ]
    return search.rank(expanded, k)[0]


def expand(
    query: Mapping[str, int], found: Sequence[tuple[Sequence[str], float]], common: set[str]
) -> dict[str, float]:
    """Weight the words of a query and of its results.

    Args:
        query: Word -> its count in the query.
        found: Words and score of every document found.
        common: Words that are never added.

    Returns:
        Word -> weight; only the query's own words if nothing was found.
    """
    length = sum(query.values())
    own = {word: number / length for word, number in query.items()}
    total = sum(score for _, score in found)
    likely: dict[str, float] = {}
    for words, score in found:
        for word, number in Counter(words).items():
            if word not in common:
                likely[word] = likely.get(word, 0.0) + number / len(words) * score / total
    best = sorted(likely, key=lambda word: (-likely[word], word))[:WORDS]
    mass = sum(likely[word] for word in best)
    if not mass:
        return own
    added = {word: EXPANSION * likely[word] / mass for word in best}
    return {
        word: (1 - EXPANSION) * own.get(word, 0.0) + added.get(word, 0.0) for word in sorted(own.keys() | added.keys())
    }
