"""TopicScore: whether the topics that a model names of a history are right, and whether they are all.

Formula:   correctness = named topics that match one of the history / named topics
           completeness = topics of the history that match a named one / topics of the history
           Two topics match if they are the same words, or one contains the words of the other.
Source:    Liu et al. 2024, "RecPrompt: A Self-tuning Prompting Framework for News Recommendation" (arXiv 2312.10463).
           The paper lets a model judge whether topics match; words need no call and can be checked.
"""

import re
from collections.abc import Sequence

WORD = re.compile(r"[^\W_]+")


def topic_score(named: Sequence[str], topics: Sequence[str]) -> tuple[float | None, float | None]:
    """Return correctness and completeness; None each if the history has no topics.

    Args:
        named: The topics that an answer names.
        topics: The topics of the history.

    Example:
        >>> topic_score(["crime films", "Romance", "space"], ["Crime", "Drama"])
        (0.3333333333333333, 0.5)
    """
    if not topics:
        return None, None
    said, known = [_words(one) for one in named], [_words(one) for one in topics]
    right = sum(any(_match(one, other) for other in known) for one in said)
    covered = sum(any(_match(one, other) for other in said) for one in known)
    return right / len(said) if said else 0.0, covered / len(known)


def _words(topic: str) -> frozenset[str]:
    return frozenset(word.casefold() for word in WORD.findall(topic))


def _match(one: frozenset[str], other: frozenset[str]) -> bool:
    return bool(one and other) and (one <= other or other <= one)
