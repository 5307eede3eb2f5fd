"""Gates over drift: how far texts and vectors of the same rows are from those of the current release.

Rows are compared that both releases have, and always the same ones. What chance alone would do is taken off first, so
that answers which were asked anew of the same model, and differ in their words, are no drift.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import HashingVectorizer

from feature_store.database import Store
from feature_store.gate import Gate, GatesConfig
from feature_store.lineage import VectorName
from feature_store.releases import ReleasedVectors
from feature_store.vectors import read_vectors

PROBES = 500
"""Rows whose vectors are compared."""
LEAST_ROWS = 21
"""Fewer rows are not compared: each would have most of the others as neighbours."""
NEAREST = 10
"""Neighbours of each."""
PROJECTIONS = 16
"""Random directions, the same in every release, on which vectors are compared."""
MARGIN = 1.5
"""How often the expected square of what chance does is taken off: chance itself varies."""
COMPARED_TEXTS = 2_000
"""Rows whose words are compared."""
SWAPS = 20
"""How often old and new texts of rows are swapped by chance, to see what chance alone would do."""
FindTexts = Callable[[pl.Series], pl.DataFrame]
"""Returns text_key and text of some keys, each once, in any order."""


@dataclass(frozen=True)
class Side:
    """Vectors of a release or of the candidate."""

    rows: pl.DataFrame
    """Its lineage: at least row and text_key."""
    made: ReleasedVectors
    """What it records of the vectors."""
    table: str
    """The table that holds them."""
    version: int | None = None
    """Version of the table; None = the newest."""


def vector_gates(store: Store, name: VectorName, new: Side, old: Side, config: GatesConfig) -> list[Gate]:
    """Compare the vectors of the same rows in the candidate and in the current release.

    Args:
        store: The store.
        name: The vectors.
        new: The candidate.
        old: The current release.
        config: Thresholds.
    """
    both = _both(new.rows, old.rows, PROBES)
    if len(both) < LEAST_ROWS:
        few = f"{len(both):,} rows in both releases are too few to compare"
        return [Gate(f"{name} {setting}", True, few, setting=setting) for setting in ("neighbours", "means", "spread")]
    same_space = new.made.fingerprint == old.made.fingerprint
    if same_space and both["text_key"].equals(both["old_key"]):
        share, moved, spread = 1.0, 0.0, 0.0
    else:
        now, then = _vectors(store, both, new, old)
        pairs = zip(_nearest(now), _nearest(then), strict=True)
        share = float(np.mean([len(set(a) & set(b)) / NEAREST for a, b in pairs]))
        moved, spread = moves(now, then) if same_space else (0.0, 0.0)
    of, least = f"{len(both):,} rows", config.neighbours
    found = f"{share:.1%} of the {NEAREST} nearest among {of} are the same, at least {least:.1%}"
    gates = [Gate(f"{name} neighbours", share >= least, found, setting="neighbours")]
    if not same_space:
        other = "made by another encoder, or fitted anew: neighbours alone can be compared"
        return [*gates, *(Gate(f"{name} {one}", True, other, setting=one) for one in ("means", "spread"))]
    found = f"means of {of} moved by {moved:.2f} standard deviations, at most {config.means:g}"
    gates.append(Gate(f"{name} means", moved <= config.means, found, setting="means"))
    found = f"the covariance of {of} changed by {spread:.0%} of its norm, at most {config.spread:.0%}"
    return [*gates, Gate(f"{name} spread", spread <= config.spread, found, setting="spread")]


def _both(rows: pl.DataFrame, before: pl.DataFrame, most: int) -> pl.DataFrame:
    """Return row, text_key and old_key of some rows that have a text in both releases, always the same ones."""
    now, then = rows.select("row", "text_key").drop_nulls(), before.select("row", old_key="text_key").drop_nulls()
    likely = least_hashes(now, 2 * most)
    if len(likely) < len(now):
        both = likely.join(then, on="row")
        if len(both) >= most:  # rows that were not looked at have larger hashes
            return least_hashes(both, most)
    return least_hashes(now.join(then, on="row"), most)


def least_hashes(rows: pl.DataFrame, most: int) -> pl.DataFrame:
    """Return the rows with the least hashes of `row`, in the order of these: a sample, and always the same one."""
    hashes = rows["row"].hash(0)
    if most < len(rows):
        few = hashes <= hashes.bottom_k(most).max()
        rows, hashes = rows.filter(few), hashes.filter(few)
    return rows[hashes.arg_sort()[:most]]


def _vectors(store: Store, both: pl.DataFrame, new: Side, old: Side) -> tuple[np.ndarray, np.ndarray]:
    """Read the vectors of the texts of both sides."""
    now, then = (
        read_vectors(store, one.table, one.made.dimension, one.made.fingerprint, both[key].to_list(), one.version)
        for one, key in ((new, "text_key"), (old, "old_key"))
    )
    return now, then


def _nearest(vectors: np.ndarray) -> np.ndarray:
    """Return the places of the nearest other rows by cosine: [n, d] -> [n, NEAREST]."""
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    close = unit @ unit.T
    np.fill_diagonal(close, -np.inf)
    return np.argsort(-close, axis=1, kind="stable")[:, :NEAREST]


def moves(now: np.ndarray, then: np.ndarray) -> tuple[float, float]:
    """Return how far means and covariance moved, beyond what two samples of one distribution differ by.

    Both are measured on random projections with a fixed seed: the root mean square over projections of the difference
    of means, in standard deviations of `then`; and the Frobenius distance of covariance matrices (Sun and Saenko 2016,
    CORAL) in norms of that of `then`.

    Args:
        now: [n, d] vectors of the candidate.
        then: [n, d] vectors of the same rows in the current release.
    """
    count, width = then.shape
    directions = np.random.default_rng(0).standard_normal((width, min(PROJECTIONS, width))) / np.sqrt(width)
    new, old = (np.asarray(of, dtype=np.float64) @ directions for of in (now, then))  # [n, p]
    step = (new.mean(axis=0) - old.mean(axis=0)) / np.maximum(old.std(axis=0), 1e-12)
    covariance, before = (np.atleast_2d(np.cov(of, rowvar=False)) for of in (new, old))
    norm = max(float(np.linalg.norm(before)), 1e-12)
    apart = float(np.linalg.norm(covariance - before)) / norm
    # The expected squares of both if each side were a sample of n of one normal distribution.
    by_chance = 2 * (np.trace(before) ** 2 + norm**2) / (norm**2 * count)
    return _beyond(float(np.mean(step**2)), 2 / count), _beyond(apart**2, by_chance)


def _beyond(square: float, by_chance: float) -> float:
    return float(np.sqrt(max(square - MARGIN * by_chance, 0.0)))


def vocabulary_gate(task: str, answers: pl.DataFrame, before: pl.DataFrame, most: float, find_texts: FindTexts) -> Gate:
    """Compare the words of the same rows' texts in the candidate and in the current release.

    Args:
        task: The technique.
        answers: row and text_key of the candidate.
        before: The same of the current release.
        most: Divergence that is allowed.
        find_texts: Finds the texts of some keys.
    """
    both, apart = _both(answers, before, COMPARED_TEXTS), 0.0
    if not both["text_key"].equals(both["old_key"]):
        texts = find_texts(pl.concat([both["text_key"], both["old_key"]]).unique())
        both = both.join(texts, on="text_key", maintain_order="left")
        both = both.join(texts.select(old_key="text_key", old="text"), on="old_key", maintain_order="left")
        apart = divergence(both["text"].to_list(), both["old"].to_list())
    found = f"the words of {len(both):,} rows diverge by {apart:.3f} bits beyond chance, at most {most:g}"
    return Gate(f"{task} vocabulary", apart <= most, found, setting="vocabulary")


def divergence(texts: Sequence[str], before: Sequence[str]) -> float:
    """Return the Jensen-Shannon divergence of the words of two lists of texts, beyond what chance does, in bits.

    Chance is the mean divergence after old and new texts of rows were swapped at random: two samples of one model
    differ too, and the more so the fewer there are.

    Args:
        texts: One text a row.
        before: The earlier texts of the same rows, in the same order.

    Example:
        >>> divergence(["a b", "c d"], ["a b", "c d"])
        0.0
    """
    if all(one == other for one, other in zip(texts, before, strict=True)):
        return 0.0
    hashed = HashingVectorizer(
        alternate_sign=False,
        norm=None,  # pyright: ignore[reportArgumentType] - None is documented
        n_features=2**18,
        token_pattern=r"\w+",
    )
    places = {text: place for place, text in enumerate(dict.fromkeys([*texts, *before]))}
    words = csr_matrix(hashed.transform(places))
    words = words[:, np.flatnonzero(words.getnnz(axis=0))]  # few of the columns are those of a word
    new, old = (words[[places[text] for text in of]] for of in (texts, before))
    chance = np.random.default_rng(0).integers(0, 2, (SWAPS, len(texts))).astype(float)  # [swaps, n]
    swapped = [_bits(one @ new + (1 - one) @ old, (1 - one) @ new + one @ old) for one in chance]
    whole = np.ones(len(texts))
    return max(_bits(whole @ new, whole @ old) - float(np.mean(swapped)), 0.0)


def _bits(one: np.ndarray, other: np.ndarray) -> float:
    """Return the Jensen-Shannon divergence of two counts of words."""
    p, q = (of / max(of.sum(), 1.0) for of in (one, other))
    middle = (p + q) / 2
    return float(sum(0.5 * np.sum(of[of > 0] * np.log2(of[of > 0] / middle[of > 0])) for of in (p, q)))
