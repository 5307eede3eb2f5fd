"""Measure a tuned encoder of notes: recall of held-out pairs, and quality of written categories and hashtags.

Source: Zhang et al. 2024, "NoteLLM", section 4.5 (arXiv 2403.01744): accuracy, the share of illusory categories, BLEU
and ROUGE of the hashtags. Here chrF replaces ROUGE, because it needs no word segmentation.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF


def recall(vectors: np.ndarray, pairs: np.ndarray, at: Sequence[int] = (10, 100)) -> Mapping[str, float]:
    """Return the mean over sources of the share of their targets among the nearest other notes.

    Args:
        vectors: [N, d] of norm 1.
        pairs: [P, 2] int64, sources and targets; each pair once.
        at: How many nearest notes to count; ties are in the order of their numbers.

    Returns:
        `recall@10` and so on; empty without a pair.

    Example:
        >>> line = np.array([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0]])
        >>> recall(line, np.array([[0, 1], [2, 0]]), at=(1, 2))
        {'recall@1': 0.5, 'recall@2': 1.0}
    """
    if not len(pairs):
        return {}
    sources, of = np.unique(pairs[:, 0], return_inverse=True)
    near = vectors[sources] @ vectors.T  # [S, N]
    near[np.arange(len(sources)), sources] = -np.inf  # a note is not its own neighbour
    order = np.argsort(-near, axis=1, kind="stable")
    ranks = np.empty_like(order)
    np.put_along_axis(ranks, order, np.arange(order.shape[1])[None], axis=1)
    found = ranks[of, pairs[:, 1]]  # [P]
    wanted = np.bincount(of)
    return {f"recall@{k}": round(float((np.bincount(of, found < k) / wanted).mean()), 4) for k in at}


@dataclass(frozen=True)
class Categories:
    """The quality of generated categories."""

    count: int
    """Number of categories."""
    accuracy: float
    """Share that equals the true one, ignoring case and surrounding spaces."""
    illusory: float
    """Share that is not an existing category."""


@dataclass(frozen=True)
class Hashtags:
    """The quality of generated hashtags."""

    count: int
    """Number of texts."""
    bleu: float
    """Corpus BLEU, 0 to 100, over the raw texts."""
    chrf: float
    """Corpus chrF, 0 to 100: character n-grams."""
    precision: float
    """Mean share of a text's hashtags that are true."""
    recall: float
    """Mean share of the true hashtags that a text contains."""


def measure_categories(written: Sequence[str], true: Sequence[str], known: Collection[str]) -> Categories:
    """Compare generated categories with the true ones.

    Args:
        written: [n] generated.
        true: [n].
        known: All existing categories.

    Raises:
        ValueError: There is nothing to compare, or the lists differ in length.

    Example:
        >>> measure_categories([" crime", "Heist"], ["Crime", "Drama"], {"Crime", "Drama"})
        Categories(count=2, accuracy=0.5, illusory=0.5)
    """
    _check(written, true)
    there = {_plain(category) for category in known}
    right = sum(_plain(one) == _plain(other) for one, other in zip(written, true, strict=True))
    made_up = sum(_plain(one) not in there for one in written)
    return Categories(len(true), right / len(true), made_up / len(true))


def measure_hashtags(written: Sequence[str], true: Sequence[Sequence[str]]) -> Hashtags:
    """Compare generated hashtags, separated by commas, with the true ones.

    Args:
        written: [n] generated texts.
        true: [n] hashtags of each item, in the order in which a text would list them; at least one.

    Raises:
        ValueError: There is nothing to compare, or the lists differ in length.
    """
    _check(written, true)
    named = [{_plain(tag) for tag in text.split(",")} - {""} for text in written]
    wanted = [{_plain(tag) for tag in tags} for tags in true]
    shared = [len(one & other) for one, other in zip(named, wanted, strict=True)]
    references = [", ".join(tags) for tags in true]
    return Hashtags(
        len(true),
        BLEU().corpus_score(list(written), [references]).score,
        CHRF().corpus_score(list(written), [references]).score,
        sum(both / max(1, len(one)) for both, one in zip(shared, named, strict=True)) / len(true),
        sum(both / len(other) for both, other in zip(shared, wanted, strict=True)) / len(true),
    )


def _plain(word: str) -> str:
    return " ".join(word.split()).casefold()


def _check(written: Sequence[object], true: Sequence[object]) -> None:
    if not true or len(written) != len(true):
        raise ValueError(f"{len(written)} generated texts for {len(true)} items")
