"""Choose among several answers to one prompt: the most coherent one that stays closest to what was asked.

LLM-CF (Sun et al. 2024, arXiv 2403.17688) samples several chains of thought for each example and keeps the best by four
marks: coherence without repetition, and similarity to the points that the prompt asks for, to what it shows, and to the
decision it states. Similarity is the cosine of text embeddings, at least 0; the score is the mean of the four marks.
"""

import re
from collections.abc import Callable, Sequence

import numpy as np

Encode = Callable[[list[str]], np.ndarray]
"""Texts -> [n, d] float vectors, of any norm but 0."""
LONG = 3
"""How many words in a row count as a repetition if they appear again."""


def best_candidate(texts: Sequence[str], points: Sequence[str], shown: str, decision: str, encode: Encode) -> int:
    """Return the index of the best of several answers; ties go to the first.

    Args:
        texts: At least one answer.
        points: What the prompt asks for, point by point; `points_of` finds them.
        shown: What the prompt shows.
        decision: The outcome that the prompt states, with which the answer should conclude.
        encode: Text encoder.

    Returns:
        Index of the best one.
    """
    return int(np.argmax(candidate_scores(texts, points, shown, decision, encode)))


def candidate_scores(
    texts: Sequence[str], points: Sequence[str], shown: str, decision: str, encode: Encode
) -> np.ndarray:
    """Return the scores of answers: [n] float64 from 0 to 1, the mean of the four marks.

    Similarity to the points is the mean over points. The decision is compared with the answer's last sentence, because
    the prompt asks to conclude with it, and its two words would not count against a whole answer.
    """
    asked = [*points, shown, decision]
    ends = [last_sentence(text) for text in texts]
    vectors = encode([*texts, *ends, *asked]).astype(np.float64)
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    whole, end, of_asked = np.split(unit, [len(texts), 2 * len(texts)])
    likeness = np.maximum(whole @ of_asked.T, 0)  # [n, points + 2]
    marks = [
        np.array([coherence(text) for text in texts]),
        likeness[:, : len(points)].mean(axis=1) if points else np.zeros(len(texts)),
        likeness[:, len(points)],
        np.maximum(end @ of_asked[-1], 0),
    ]
    return np.mean(marks, axis=0)


def coherence(text: str) -> float:
    """Return the share of three-word sequences that are distinct: 1 = nothing is repeated.

    Example:
        >>> coherence("likes old films likes old films")
        0.75
    """
    words = re.findall(r"\w+", text.lower())
    runs = [tuple(words[place : place + LONG]) for place in range(len(words) - LONG + 1)]
    return len(set(runs)) / len(runs) if runs else float(bool(words))


def last_sentence(text: str) -> str:
    """Return the last sentence of a text.

    Example:
        >>> last_sentence("A warm film. The user likes it.")
        'The user likes it.'
    """
    return re.split(r"(?<=[.!?])\s+", text.strip())[-1]


def points_of(prompt: str) -> tuple[str, ...]:
    """Return the points that a prompt numbers: (1) ..., (2) ...; the list ends with its sentence.

    Example:
        >>> points_of("Write (1) a profile of the user, (2) the match; conclude with the decision.")
        ('a profile of the user', 'the match')
    """
    found = re.findall(r"\(\d+\)\s*(.+?)\s*(?=,?\s*\(\d+\)|[;.\n]|$)", prompt)
    return tuple(found)
