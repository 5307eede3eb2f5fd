"""UCB1: which of several prompts to try on further rows, so that few rows are spent on bad ones."""

from collections.abc import Sequence
from math import inf, log, sqrt


def upper_bounds(means: Sequence[float], pulls: Sequence[int], breadth: float) -> list[float]:
    """Return mean + breadth * sqrt(2 ln t / n) of each arm; infinite for an arm that was never pulled.

    Args:
        means: Mean reward of each arm, from 0 to 1.
        pulls: Times n that each arm was pulled; t is their sum.
        breadth: 1 is UCB1; smaller trusts the means earlier.

    Source: Auer, Cesa-Bianchi and Fischer 2002, "Finite-time Analysis of the Multiarmed Bandit Problem".

    Example:
        >>> [round(bound, 3) for bound in upper_bounds([0.5, 0.4, 0.0], [4, 1, 0], 1.0)]
        [1.397, 2.194, inf]
    """
    total = sum(pulls)
    return [mean + breadth * sqrt(2 * log(total) / n) if n else inf for mean, n in zip(means, pulls, strict=True)]
