"""Full-text search over the items: in bulk to judge rewrites, and in the store for one query at a time.

Both rank by the same BM25 over the same words, so that serving matches offline judging (a test compares them):

    score(q, d) = sum over words w of q:  log(1 + (N - n_w + 0.5) / (n_w + 0.5)) * 2.2 f / (f + 1.2 (0.25 + 0.75 |d|/a))

N: documents with at least one word; n_w: documents with w; f: count of w in d; |d|: words of d, `a` on average; a word
that q repeats counts again.
Source: Robertson and Zaragoza 2009, "The Probabilistic Relevance Framework", section 3, with the logarithm of Lucene,
which is never negative.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import bm25s
import numpy as np
import polars as pl
import Stemmer
from scipy import sparse

from feature_store.database import Store, Writer
from feature_store.pinned import PinnedTable, open_pinned
from feature_store.releases import NoRelease, Release
from feature_store.schemas import DOCUMENTS

TABLE = "documents"
WRITTEN = ("item", "text", "words")
"""What a document holds besides its position."""
K1, B = 1.2, 0.75
"""Parameters of BM25, as in LanceDB."""
QUERIES_AT_ONCE = 256
"""Queries whose scores are in memory at once."""
FUSION_CONSTANT = 60
"""Dampens the first ranks in a fusion; the value of Cormack et al. 2009."""
MARKS = re.compile("[\u0300-\u036f]")
"""Accents of Latin, Greek and Cyrillic letters; marks of other scripts are kept, because they change the meaning."""
WORD = re.compile(r"\w+")


def analysed(texts: Sequence[str]) -> list[list[str]]:
    """Split texts into searchable words.

    Lower case without accents, runs of letters and digits, English stems (Snowball). There are no operators and no
    stop words: some titles consist of common words ("It", "The Others"). In a script without spaces, such as Chinese,
    each run of characters is a word.

    Args:
        texts: Any texts.

    Returns:
        The words of each, in order, with repeats.

    Example:
        >>> analysed(["Amélie's Dreams (2001)", "+-!"])
        [['ameli', 's', 'dream', '2001'], []]
    """
    stemmer = Stemmer.Stemmer("english")
    return [stemmer.stemWords(words_of(text)) for text in texts]


def words_of(text: str) -> list[str]:
    """Return the words of a text before stemming.

    Example:
        >>> words_of("Amélie's Dreams (2001)")
        ['amelie', 's', 'dreams', '2001']
    """
    return WORD.findall(MARKS.sub("", unicodedata.normalize("NFKD", text.casefold())))


def document_texts(
    items: pl.DataFrame, fields: Sequence[str] | None = None, descriptions: Mapping[str, str] | None = None
) -> list[str]:
    """Build the searchable text of every item.

    Args:
        items: `Dataset.items`: item, title, then mapped fields (texts, lists of texts, numbers).
        fields: Columns to include, in this order; all except `item` by default.
        descriptions: Item -> a text to add, such as what a model knows about it.

    Returns:
        One text per item, in the order of `items`.

    Example:
        >>> items = pl.DataFrame({"item": ["1"], "title": ["Heat"], "genres": [["Crime", "Drama"]], "year": [1995.0]})
        >>> document_texts(items, descriptions={"1": "Two professionals circle each other."})
        ['Heat Crime Drama 1995 Two professionals circle each other.']
    """
    chosen = [name for name in items.columns if name != "item"] if fields is None else list(fields)
    known = descriptions or {}
    return [
        " ".join(part for part in [*(_written(row[name]) for name in chosen), known.get(row["item"], "")] if part)
        for row in items.iter_rows(named=True)
    ]


def _written(value: object) -> str:
    match value:
        case None:
            return ""
        case list():
            return " ".join(map(str, value))
        case float():
            return f"{value:.15g}"
        case _:
            return str(value)


class BulkSearch:
    """Ranks many queries at once, in memory.

    Args:
        items: Ids of the N items; results are positions in this list.
        texts: Their documents, from `document_texts`.

    Raises:
        ValueError: The numbers of texts and items differ.
    """

    def __init__(self, items: Sequence[str], texts: Sequence[str]) -> None:
        if len(items) != len(texts):
            raise ValueError(f"{len(items):,} items, but {len(texts):,} texts")
        self.items = list(items)
        self.words = analysed(texts)
        """Words of each document, in order, with repeats."""
        self._word_place = {word: place for place, word in enumerate(sorted({w for of in self.words for w in of}))}
        # A document without words counts neither for N nor for the mean length, as in LanceDB.
        written = np.flatnonzero([len(of) > 0 for of in self.words])
        shape = (len(self._word_place), len(self.items))
        self._scores = sparse.csr_array(shape, dtype=np.float32)  # [V, N]: score of a word in a document
        if len(written):
            # "atire" is the document-dependent factor of BM25 as in LanceDB, "lucene" the logarithm.
            index = bm25s.BM25(k1=K1, b=B, method="atire", idf_method="lucene")
            ids = [[self._word_place[word] for word in self.words[place]] for place in written]
            index.index((ids, self._word_place), create_empty_token=False, show_progress=False)
            found = index.scores
            self._scores = sparse.csr_array((found["data"], written[found["indices"]], found["indptr"]), shape=shape)

    def search(self, queries: Sequence[str], k: int = 50) -> np.ndarray:
        """Find the best documents of every query.

        Args:
            queries: [Q] texts.
            k: Maximum results per query.

        Returns:
            [Q, k] int32 positions in `items`, best first; of equal scores the lower position first; -1 where no more
            documents share a word with the query.
        """
        distinct, place = np.unique(np.array(list(queries), dtype=object), return_inverse=True)
        return self.rank([Counter(words) for words in analysed(list(distinct))], k)[0][place]

    def rank(self, queries: Sequence[Mapping[str, float]], k: int = 50) -> tuple[np.ndarray, np.ndarray]:
        """Find the best documents for weighted words.

        Args:
            queries: [Q] analysed word -> weight, used as its count.
            k: Maximum results per query.

        Returns:
            Positions as from `search`, and their scores, [Q, k] float32, 0 where the position is -1.
        """
        out, score = np.full((len(queries), k), -1, dtype=np.int32), np.zeros((len(queries), k), dtype=np.float32)
        for start in range(0, len(queries), QUERIES_AT_ONCE):
            # [q, N], sparse
            scores: Any = self._weights(queries[start : start + QUERIES_AT_ONCE]) @ self._scores
            for row in range(scores.shape[0]):
                inside = slice(scores.indptr[row], scores.indptr[row + 1])
                places, of = scores.indices[inside], scores.data[inside]
                best = _best(places, of, k)
                out[start + row, : len(best)], score[start + row, : len(best)] = places[best], of[best]
        return out, score

    def _weights(self, queries: Sequence[Mapping[str, float]]) -> sparse.csr_array:
        """Return the weights of each query's words, out of the documents' words: [q, V]."""
        known = [[(self._word_place[w], weight) for w, weight in of.items() if w in self._word_place] for of in queries]
        ends = np.cumsum([0, *map(len, known)])
        places = np.fromiter((place for of in known for place, _ in of), dtype=np.int32, count=ends[-1])
        weights = np.fromiter((weight for of in known for _, weight in of), dtype=np.float32, count=ends[-1])
        return sparse.csr_array((weights, places, ends), shape=(len(known), len(self._word_place)))


def _best(places: np.ndarray, scores: np.ndarray, k: int) -> np.ndarray:
    """Return the indices of the k highest scores, best first; of equal scores the lower position first."""
    kept = np.arange(len(places))
    if len(places) > k:
        kept = np.flatnonzero(scores >= np.partition(scores, -k)[-k])  # with all that tie with the last one
    return kept[np.lexsort((places[kept], -scores[kept]))][:k]


def fuse(rankings: np.ndarray, k: int = 50, constant: int = FUSION_CONSTANT) -> np.ndarray:
    """Fuse several rankings by reciprocal ranks.

        score(d) = sum over rankings that contain d:  1 / (constant + rank of d),  ranks from 1

    Source: Cormack, Clarke and Büttcher 2009, "Reciprocal Rank Fusion outperforms Condorcet and individual Rank
    Learning Methods". Ties go to the document that ranks higher in an earlier ranking, then to the lower position.

    Args:
        rankings: [Q, n, k'] positions, best first, -1 = none.
        k: Results to keep.
        constant: Dampens the first ranks.

    Returns:
        [Q, k] int32 positions, -1 where there are no more.

    Example:
        >>> fuse(np.array([[[4, 7], [7, 2]]]), k=3)
        array([[7, 4, 2]], dtype=int32)
    """
    queries, _, width = rankings.shape
    query, _, rank = np.nonzero(rankings >= 0)
    place = rankings[rankings >= 0]
    order = np.lexsort((place, query))  # stable: within a document earlier rankings stay first
    begins = np.flatnonzero(np.diff(query[order], prepend=-1) | np.diff(place[order], prepend=-1))
    out = np.full((queries, k), -1, dtype=np.int32)
    if len(begins) == 0 or width == 0:
        return out
    # Rounded, so that the order of summation never decides between equal scores.
    score = np.round(np.add.reduceat(1.0 / (constant + 1.0 + rank[order]), begins), 12)
    first = order[begins]  # first occurrence, counted ranking by ranking
    best = np.lexsort((first, -score, query[first]))
    of = query[first][best]
    at = np.arange(len(of)) - np.searchsorted(of, of)  # position within its query
    out[of[at < k], at[at < k]] = place[first][best][at < k]
    return out


def write_documents(writer: Writer, items: Sequence[str], texts: Sequence[str]) -> bool:
    """Update the store's documents and their index; nothing is written if they are up to date.

    Args:
        writer: The store's writer.
        items: Ids of the N items.
        texts: Their documents, from `document_texts`.

    Returns:
        Whether anything was written.
    """
    words = [" ".join(found) for found in analysed(texts)]
    wanted = pl.DataFrame(
        {"item": list(items), "text": list(texts), "words": words}, schema=dict.fromkeys(WRITTEN, pl.String)
    )
    there = pl.DataFrame(pl.from_arrow(writer.store.read(TABLE, DOCUMENTS)))
    changed = wanted.join(there, on=WRITTEN, how="anti", maintain_order="left")
    gone = set(there["item"]) - set(items)
    if len(changed):
        writer.upsert(TABLE, _placed(changed, there).to_arrow().cast(DOCUMENTS), DOCUMENTS)
    if gone:
        writer.delete(TABLE, "item", gone)
    # Scores depend on the number of documents and their mean length: rebuild the index instead of adding to it.
    if len(changed) or gone or not writer.is_indexed(TABLE, "words"):
        writer.index_words(TABLE, "words")
        return True
    return False


def _placed(changed: pl.DataFrame, there: pl.DataFrame) -> pl.DataFrame:
    """Give each document its position: a known item keeps its own, else one new item would rewrite all after it."""
    known = changed.join(there.select("item", "place"), on="item", how="left", maintain_order="left")
    free = there.select(pl.col("place").max().fill_null(-1)).item() + 1
    number = pl.col("place").is_null().cum_sum() + (free - 1)
    return known.with_columns(pl.coalesce("place", number).cast(pl.Int32)).select(DOCUMENTS.names)


@dataclass(frozen=True)
class Hit:
    """One result of a search in the store."""

    item: str
    """The item."""
    place: int
    """Its position among the documents, in the order in which the store met them."""
    score: float
    """BM25."""
    text: str
    """Its document."""


class StoreSearch:
    """Searches the documents of a release, one query at a time; get one from `open_search`."""

    def __init__(self, table: PinnedTable) -> None:
        self._table = table

    def search(self, query: str, k: int = 50) -> list[Hit]:
        """Find the best documents for a query; it is read as plain words, never as a query language.

        Args:
            query: Any text.
            k: Maximum number of results.

        Returns:
            Best first; of equal scores the lower position first; empty if no document shares a word with the query.
        """
        words = " ".join(analysed([query])[0])
        if not words or k < 1:
            return []
        limit = 2 * k
        while True:
            found = self._table.matching(words, "words", limit, ["item", "place", "text"])
            # The index returns an arbitrary choice of equal ones, so all that tie with the k-th are read.
            if len(found) < limit or found["score"][-1] < found["score"][k - 1]:
                break
            limit *= 4
        best = found.sort("score", "place", descending=[True, False]).head(k)
        return [Hit(**row) for row in best.iter_rows(named=True)]


def open_search(store: Store, release: Release) -> StoreSearch:
    """Open the documents of a release, without later changes.

    Raises:
        NoRelease: The release has no documents.
        WrongUse: They were written by another version of this program.
    """
    if TABLE not in release.versions:
        raise NoRelease(f"{release.name}: holds no documents to search\n  make them: knowflow rewrites")
    return StoreSearch(open_pinned(store, TABLE, release.versions[TABLE], DOCUMENTS.names))
